package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// loop is a part of the daemon that runs until its context ends.
type loop struct {
	name string
	run  func(context.Context) error
}

// runLoops runs all loops, calls ready, and waits until the loops end. On a stop the loops in intake end first, so that
// nothing new arrives while the loops in work finish.
func (d *Daemon) runLoops(ctx context.Context, intake, work []loop, ready func()) error {
	workCtx, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	workers, workCtx := errgroup.WithContext(workCtx)
	takeCtx, stopTake := context.WithCancelCause(ctx)
	defer stopTake(nil)
	takers, takeCtx := errgroup.WithContext(takeCtx)
	// If the work fails, the intake is stopped too: otherwise a daemon that only reads labels would look healthy.
	context.AfterFunc(workCtx, func() { stopTake(context.Cause(workCtx)) })
	for _, l := range work {
		workers.Go(func() error { return named(l, l.run(workCtx)) })
	}
	for _, l := range intake {
		takers.Go(func() error { return named(l, l.run(takeCtx)) })
	}
	ready()
	err := named(loop{name: "intake"}, within(d.o.Hard, 0, takers.Wait))
	d.farewell(stopCause(context.Cause(takeCtx)))
	stopWork(ErrStopped)
	err = errors.Join(err, named(loop{name: "work"}, within(d.o.Hard, 0, workers.Wait)))
	if ctx.Err() != nil && !hasRealError(err) {
		return nil
	}
	return err
}

// named adds the name of the failed loop to an error. It returns the error of an ended context as it is, because that
// is no fault.
func named(l loop, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrStopped) {
		return err
	}
	return fmt.Errorf("%s: %w", l.name, err)
}

func hasRealError(err error) bool {
	if err == nil {
		return false
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(joined.Unwrap(), hasRealError)
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, ErrStopped)
}

// stopCause describes for people why the intake has ended: because a part of the daemon failed, or on request.
func stopCause(err error) string {
	if hasRealError(err) {
		return err.Error()
	}
	return ErrStopped.Error()
}

// farewell stores the event that the daemon is stopping, with the cause, and waits at most 2 seconds until the outbox
// is published.
func (d *Daemon) farewell(cause string) {
	ctx, stop := context.WithTimeout(d.o.Hard, 2*time.Second)
	defer stop()
	err := d.store.Update(ctx, "daemon stops", func(t *store.Tx) error {
		return actions.Notify(t, d.host, notify.DaemonStopping, notify.DaemonModel, "",
			notify.Stopping{Cause: cause})
	})
	if err != nil {
		d.log.Warn("the stop event could not be stored", "err", err)
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var waiting int
		if err := d.store.View(ctx, func(t *store.Tx) (err error) {
			waiting, err = t.CountWaiting()
			return err
		}); err != nil || waiting == 0 {
			return
		}
		select {
		case <-ctx.Done(): // published after the next start
			return
		case <-tick.C:
		}
	}
}
