package evaluator

import (
	"context"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// audit computes every figure again, from the monitor's own items and from the store, and compares. A difference is a
// fault of this program, never of the data: it is told on every face, and the figures from the store take over.
func (l *Loop) audit(ctx context.Context) error {
	if l.monitor == nil {
		return nil // the next round builds it from the store
	}
	var fresh *drift.Monitor
	newer := false
	if err := l.o.Store.View(ctx, func(t *store.Tx) error {
		last, err := t.LastChange(l.name)
		if err != nil {
			return err
		}
		if newer = last > l.after; newer {
			return nil
		}
		fresh, err = l.build(t)
		return err
	}); err != nil {
		return err
	}
	if newer { // labels came in since this round: after the next one
		l.Audit()
		return nil
	}
	found := l.monitor.Audit()
	if found == nil {
		found = l.monitor.Compare(fresh)
	}
	now := time.Now().UTC()
	if found == nil {
		l.setView(func(v *View) { v.Audit = Audit{At: now} })
		l.log.Info("the figures are as computed anew")
		return nil
	}
	l.log.Error("the figures that were kept are wrong and are computed again", "err", found)
	l.setView(func(v *View) { v.Audit = Audit{At: now, Difference: found.Error()} })
	l.monitor = nil
	l.Evaluate()
	return l.o.Store.Update(ctx, "audit", func(t *store.Tx) error {
		return l.notify(t, notify.AuditFailed, "", notify.Audit{Difference: found.Error()})
	})
}
