package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/store"
)

const (
	// firstPatience limits how long the start of the daemon waits for one stopped service to become healthy. Services
	// that take longer are restored while the daemon runs.
	firstPatience = 10 * time.Second
	// firstAll limits how long the start waits for all of them together.
	firstAll = 45 * time.Second
	// owedEvery is the pause between two checks of the ledger, and owedPatience limits the wait for each service.
	owedEvery    = 30 * time.Second
	owedPatience = 10 * time.Second
)

// restored is the result of restoring what an earlier process had stopped.
type restored struct {
	results []ledger.Result
	bad     map[string]error
}

// restoreFirst starts the services that runs have stopped and that no step needs stopped any longer. It runs before the
// store, the database and the broker are opened. A run that was interrupted between two steps of its GPU part stops its
// services again when it resumes. A service that is stopped until the end of a run is restored only after the store
// shows that the run has ended.
func (d *Daemon) restoreFirst(ctx context.Context) restored {
	state := d.loaded.Load().File.State
	d.ledger = ledger.Open(state)
	if store.Held(state) != nil {
		return restored{} // another daemon owns the state directory; opening the store reports that
	}
	ctx, stop := context.WithTimeout(ctx, firstAll)
	defer stop()
	results, bad, err := d.ledger.Restore(ctx, ledger.Order{
		Patience: firstPatience,
		Due: func(e ledger.Entry) string {
			if e.UntilEnd {
				return "whether run " + e.Run.ID + " has ended is not known yet"
			}
			return ledger.StepsEnded(e)
		},
	})
	if err != nil {
		d.log.Error("programs that a run stopped could not be started again yet", "err", err)
	}
	return restored{results, bad}
}

// restoreOwed restores the services that runs stopped and did not restore before they ended.
func (d *Daemon) restoreOwed(ctx context.Context) error {
	tick := time.NewTicker(owedEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		results, bad, err := d.ledger.Restore(ctx, ledger.Order{
			Patience: owedPatience,
			Due: func(e ledger.Entry) string {
				if why := d.goesOn(ctx, e.Run.ID); why != "" {
					return why
				}
				return ledger.StepsEnded(e)
			},
		})
		d.gate.CheckGPU(ctx, results)
		if err = errors.Join(err, d.gate.Tell(ctx, results, bad)); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != last && text != "" {
			d.log.Error("the ledger of stopped programs cannot be processed", "err", text)
		}
		last = text
	}
}

// goesOn returns why a run does not count as ended, or "" if it has ended. A run that is not in the store has ended,
// because a run is stored before it stops anything. The ledger is locked during the call.
func (d *Daemon) goesOn(ctx context.Context, run string) string {
	var r store.Run
	err := d.store.View(ctx, func(t *store.Tx) (err error) { r, err = t.Run(run); return err })
	switch {
	case errors.Is(err, store.ErrNotFound): // the database was lost, or is an older backup
		return ""
	case err != nil:
		return "whether run " + run + " has ended is unknown: " + err.Error()
	case r.State != store.RunEnded:
		return "run " + run + " has not ended"
	}
	return ""
}

// barrier returns the barrier of the options. If there is none, it returns the gate, which bars requests to a
// classifier while a run has stopped it.
func (d *Daemon) barrier() evaluator.Barrier {
	if d.o.Barrier != nil {
		return d.o.Barrier
	}
	return d.gate
}
