package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/store"
)

// cancelPoll is the pause between two checks for a cancellation during a step.
const cancelPoll = 500 * time.Millisecond

// errTimeout is the cause with which a context ends at the step's timeout.
var errTimeout = errors.New("the step's time is up")

// cancelledError is the cause with which the context of a cancelled run ends.
type cancelledError struct{ by string }

func (e *cancelledError) Error() string { return "cancelled by " + e.by }

func cancelledBy(by string) Outcome {
	return Outcome{Class: store.StepCancelled, Detail: (&cancelledError{by}).Error()}
}

// cancelled returns who has cancelled the run, "" if no one has.
func (x *Executor) cancelled(ctx context.Context, p Plan) (string, error) {
	var by string
	err := x.durably(ctx, func() (err error) {
		by, err = x.wish(ctx, p)
		return err
	})
	return by, err
}

func (x *Executor) wish(ctx context.Context, p Plan) (string, error) {
	var by string
	err := x.Store.View(ctx, func(t *store.Tx) error {
		r, err := t.Run(p.Run)
		by = r.Cancel
		return err
	})
	return by, err
}

// untilCancelled returns a context that ends with a *cancelledError when the run is cancelled.
func (x *Executor) untilCancelled(ctx context.Context, p Plan) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(cancelPoll)
		defer tick.Stop()
		for {
			if by, err := x.wish(ctx, p); err == nil && by != "" {
				end(&cancelledError{by})
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ctx, func() { end(nil) }
}

// bounded returns a context that ends when the run is cancelled, and with errTimeout at the step's timeout.
func (x *Executor) bounded(ctx context.Context, p Plan, step Step) (context.Context, context.CancelFunc) {
	watched, unwatch := x.untilCancelled(ctx, p)
	timed, stop := context.WithTimeoutCause(watched, step.Timeout, errTimeout)
	return timed, func() { stop(); unwatch() }
}

// ended returns the step's outcome if err says why a bounded context has ended; otherwise it returns out and err
// unchanged.
func ended(step Step, out Outcome, err error) (Outcome, error) {
	var cancelled *cancelledError
	switch {
	case errors.Is(err, errTimeout):
		detail := fmt.Sprintf("not finished within its timeout of %s", step.Timeout)
		return Outcome{Class: store.StepTimeout, Detail: detail}, nil
	case errors.As(err, &cancelled):
		return cancelledBy(cancelled.by), nil
	}
	return out, err
}
