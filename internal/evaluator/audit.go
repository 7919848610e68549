package evaluator

import (
	"context"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// audit recomputes every figure twice, from the monitor's items and from the store, and compares the results. A
// difference is a bug in this program, never an error in the data. It is reported by log, event, metric and page, and
// the figures from the store replace those of the monitor.
func (l *Loop) audit(ctx context.Context) error {
	if err := l.auditFiles(ctx); err != nil {
		return err
	}
	if l.monitor == nil {
		return nil // the next evaluation builds it from the store
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
	if newer { // labels have arrived since the last evaluation: retry after the next one
		l.Audit()
		return nil
	}
	found := l.monitor.Audit()
	if found == nil {
		found = l.monitor.Compare(fresh)
	}
	now := time.Now().UTC()
	if found == nil {
		l.setView(func(v *View) { v.Audit = Audit{At: now, Damage: v.Audit.Damage} })
		l.log.Info("audit: the figures equal the recomputed ones")
		return nil
	}
	l.log.Error("audit: the figures differ from the recomputed ones, which replace them", "err", found)
	l.setView(func(v *View) { v.Audit = Audit{At: now, Difference: found.Error(), Damage: v.Audit.Damage} })
	l.monitor = nil
	l.Evaluate()
	return l.o.Store.Update(ctx, "audit", func(t *store.Tx) error {
		return l.notify(t, notify.AuditFailed, "", notify.Audit{Difference: found.Error()})
	})
}

// auditFiles checks the champion's files. The service may keep running with the model in memory after the files are
// damaged, so the damage must be reported before the service is next started.
func (l *Loop) auditFiles(ctx context.Context) error {
	var release store.Release
	err := l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil || row.Champion == "" {
			return err
		}
		release, err = t.Release(l.name, row.Champion)
		return err
	})
	if err != nil {
		return err
	}
	damage := ""
	if err := actions.CheckFiles(release.Digest, release.Path); err != nil {
		damage = fmt.Sprintf("the files of the champion are damaged: %v; restore them from a backup, or train again: retraind trigger %s",
			err, l.name)
	}
	was := l.View().Audit.Damage
	l.setView(func(v *View) { v.Audit.Damage = damage })
	if damage == "" || damage == was {
		return nil
	}
	l.log.Error("the champion's files are damaged", "release", text.Digest(release.Digest), "detail", damage)
	return l.o.Store.Update(ctx, "audit of files", func(t *store.Tx) error {
		return l.notify(t, notify.AuditFailed, "", notify.Audit{Difference: damage})
	})
}
