package daemon

import (
	"context"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/store"
)

const (
	housekeepEvery = 5 * time.Second
	keepAll        = 7 * 24 * time.Hour   // every report and decision; older ones are thinned to one an hour
	keepThinned    = 400 * 24 * time.Hour // thinned reports and decisions
	keepChanges    = 90 * 24 * time.Hour  // label changes that the champion's training snapshot includes
	keepOutbox     = 30 * 24 * time.Hour
	keepInbox      = 90 * 24 * time.Hour // ids of events, labels whose items are unknown, requests
)

// housekeep checks the state directory and updates the status sentence every few seconds. Once a day it prunes the
// store, and each night it starts an audit of the figures.
func (d *Daemon) housekeep(ctx context.Context) error {
	tick := time.NewTicker(housekeepEvery)
	defer tick.Stop()
	var pruned time.Time
	last, trouble := "", ""
	audit := night(time.Now().In(d.loaded.Load().File.Location()))
	for ; ; tock(ctx, tick.C) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.store.Check()
		if t := d.store.Trouble(); t != trouble {
			if trouble = t; t != "" {
				d.log.Error("the state directory cannot be written", "err", t)
			} else {
				d.log.Info("the state directory can be written again")
			}
		}
		if s := d.backend.Sentence(); s != last {
			last = s
			_ = d.o.Notifier.Status(s)
		}
		due := false
		if audit, due = nightly(audit, time.Now().In(d.loaded.Load().File.Location())); due {
			for _, m := range d.models {
				m.Loop.Audit()
			}
		}
		if time.Since(pruned) < 24*time.Hour {
			continue
		}
		pruned = time.Now()
		err := d.store.Update(ctx, "prune", func(t *store.Tx) error {
			if err := t.PruneHistory(pruned.Add(-keepAll), pruned.Add(-keepThinned)); err != nil {
				return err
			}
			if err := t.PruneChanges(pruned.Add(-keepChanges)); err != nil {
				return err
			}
			if err := t.PruneInbox(pruned.Add(-keepInbox)); err != nil {
				return err
			}
			return t.PruneOutbox(pruned.Add(-keepOutbox))
		})
		if err != nil && ctx.Err() == nil {
			d.log.Warn("old records could not be removed", "err", err)
		}
		d.pruneFiles(ctx)
	}
}

// pruneFiles removes the files of old releases and runs. The end of a run also does this, but there may be no run for a
// long time.
func (d *Daemon) pruneFiles(ctx context.Context) {
	file := d.loaded.Load().File
	for _, name := range file.Names() {
		if ctx.Err() != nil {
			return
		}
		d.executor.Prune(ctx, name, filepath.Join(d.store.Dir(), "models", name), file.Models[name].Retention)
	}
}

// tock waits for a tick.
func tock(ctx context.Context, tick <-chan time.Time) {
	select {
	case <-ctx.Done():
	case <-tick:
	}
}

// nightly reports whether the planned audit is due, and returns the time of the next one. That time is earlier than
// planned if the clock was set back.
func nightly(planned, now time.Time) (next time.Time, due bool) {
	return night(now), !now.Before(planned)
}

// night returns the time of the next audit, at an hour when few people correct labels.
func night(now time.Time) time.Time {
	const hour = 3
	next := time.Date(now.Year(), now.Month(), now.Day(), hour, 0, 0, 0, now.Location())
	if !next.After(now) {
		next = time.Date(now.Year(), now.Month(), now.Day()+1, hour, 0, 0, 0, now.Location())
	}
	return next
}
