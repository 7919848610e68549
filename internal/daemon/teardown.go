package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// teardown lists the parts that must be closed, each with a name and a time limit. They are closed in the reverse
// order of opening.
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

// hurry is the time limit for closing each part after a second signal. It is enough for a healthy part.
const hurry = 500 * time.Millisecond

var errHurried = errors.New("not done when a second signal arrived")

// run closes all parts. A part that exceeds its time limit is abandoned with an error. When hard ends, each limit
// becomes hurry.
func (t *teardown) run(hard context.Context) error {
	var errs []error
	for len(t.steps) > 0 {
		step := t.steps[len(t.steps)-1]
		t.steps = t.steps[:len(t.steps)-1]
		ctx, stop := context.WithTimeout(hard, step.patience)
		err := within(hard, step.patience, func() error { return step.close(ctx) })
		stop()
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", step.name, err))
		}
		t.log.Debug("closed", "component", step.name)
	}
	return errors.Join(errs...)
}

// within runs f and waits until it returns, for at most `patience`; 0 means no limit. Once the context `hard` has
// ended, it waits at most `hurry` longer. If the time is over, it returns an error while f still runs.
func within(hard context.Context, patience time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case err := <-done:
		return err
	case <-late:
		return fmt.Errorf("not done after %s", patience)
	case <-hard.Done():
	}
	timer := time.NewTimer(hurry)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errHurried
	}
}
