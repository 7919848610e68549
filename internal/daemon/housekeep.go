package daemon

import (
	"context"
	"time"

	"github.com/retraind/retraind/store"
)

const (
	housekeepEvery = 5 * time.Second
	keepAll        = 7 * 24 * time.Hour   // every report and decision; older ones are thinned to one an hour
	keepThinned    = 400 * 24 * time.Hour // and so long
	keepChanges    = 90 * 24 * time.Hour  // label changes that are in the champion's baseline
	keepOutbox     = 30 * 24 * time.Hour
	keepInbox      = 90 * 24 * time.Hour // names of events, labels that wait for their items, requests
)

// housekeep keeps the status sentence current and, once a day, the store small.
func (d *Daemon) housekeep(ctx context.Context) error {
	tick := time.NewTicker(housekeepEvery)
	defer tick.Stop()
	var pruned time.Time
	last := ""
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if s := d.sentence(); s != last {
			last = s
			_ = d.o.Notifier.Status(s)
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
	}
}
