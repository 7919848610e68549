package predict

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/serving"
)

const (
	// patience is how long a server of language models may be away: it is restarted, or updated.
	patience = 5 * time.Minute
	// mostFaults is how often it may fail in a row without an answer while it is there.
	mostFaults = 3
)

// insist asks again while a server of language models is away: it is not the candidate's own, and hours of training would
// be lost. A service that was started for the candidate is asked once.
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
