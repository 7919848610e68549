package predict

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/serving"
)

const (
	// patience is how long a language model's server may be unreachable, for example during a restart or an upgrade.
	patience = 5 * time.Minute
	// mostFaults is the number of consecutive failures allowed while the server is reachable.
	mostFaults = 3
)

// insist repeats ask while a language model's server is unreachable, and after up to mostFaults other failures in a
// row: the server is shared, and giving up would waste hours of training. Other services were started for the
// candidate, and are asked only once.
func insist(ctx context.Context, config serving.Config, ask func() (answered bool, err error)) error {
	since, faults := time.Now(), 0
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		answered, err := ask()
		if err == nil || config.Ollama == nil || ctx.Err() != nil {
			return err
		}
		if answered {
			since, faults, pause = time.Now(), 0, time.Second
		}
		if !errors.Is(err, serving.ErrAsleep) {
			faults++
		}
		if faults > mostFaults || time.Since(since) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
