package daemon

import (
	"context"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// audit computes every figure again, from the monitor's own items and from the store, and compares. A difference is a
// fault of this program, never of the data: it is told on every face, and the figures from the store take over.
func (k *keeper) audit(ctx context.Context) error {
	if k.monitor == nil {
		return nil // the next round builds it from the store
	}
	var fresh *drift.Monitor
	newer := false
	if err := k.d.store.View(ctx, func(t *store.Tx) error {
		last, err := t.LastChange(k.name)
		if err != nil {
			return err
		}
		if newer = last > k.after; newer {
			return nil
		}
		fresh, err = k.build(t)
		return err
	}); err != nil {
		return err
	}
	if newer { // labels came in since this round: after the next one
		poke(k.audits)
		return nil
	}
	found := k.monitor.Audit()
	if found == nil {
		found = k.monitor.Compare(fresh)
	}
	now := time.Now().UTC()
	if found == nil {
		k.setView(func(v *view) { v.audit = status.Audit{At: now} })
		k.log.Info("the figures are as computed anew")
		return nil
	}
	k.log.Error("the figures that were kept are wrong and are computed again", "err", found)
	k.setView(func(v *view) { v.audit = status.Audit{At: now, Difference: found.Error()} })
	k.monitor = nil
	poke(k.evaluate)
	return k.d.store.Update(ctx, "audit", func(t *store.Tx) error {
		return k.notify(t, notify.AuditFailed, "", notify.Audit{Difference: found.Error()})
	})
}
