package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// teardown is what must be closed, last opened first, each by name and within its time.
type teardown struct {
	log   *slog.Logger
	steps []closing
}

type closing struct {
	name     string
	patience time.Duration
	close    func(context.Context) error
}

func (t *teardown) add(name string, patience time.Duration, f func(context.Context) error) {
	t.steps = append(t.steps, closing{name, patience, f})
}

// run closes everything; a step that does not end in time is left behind with an error. When hard ends, so does
// patience.
func (t *teardown) run(hard context.Context) error {
	var errs []error
	for len(t.steps) > 0 {
		step := t.steps[len(t.steps)-1]
		t.steps = t.steps[:len(t.steps)-1]
		ctx, stop := context.WithTimeout(hard, step.patience)
		done := make(chan error, 1)
		go func() { done <- step.close(ctx) }()
		select {
		case err := <-done:
			if err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", step.name, err))
			}
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("close %s: not done after %s", step.name, step.patience))
		}
		stop()
		t.log.Debug("closed", "component", step.name)
	}
	return errors.Join(errs...)
}
