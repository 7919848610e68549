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

// gate returns the name of the gating target.
func (r *Rules) gate() string { return r.Model.Serving.List()[0].Name }

// ofOtherGate reports whether the stored baseline of a release is of another target than the gating one. Such a
// baseline is not passed to the monitor.
func ofOtherGate(r drift.Release) bool { return r.Digest != "" && r.Baseline == nil }

// nameGate stores the gating target with a baseline that an earlier version stored without a target.
func (l *Loop) nameGate(ctx context.Context, row store.Model) error {
	if c, err := actions.ReadChampion(row.Baseline); err != nil || row.Champion == "" || c.Baseline.Target != "" {
		return err
	}
	return l.o.Store.Update(ctx, "gate", func(t *store.Tx) error {
		now, err := t.Model(l.name)
		if err != nil || now.Champion != row.Champion {
			return err
		}
		c, err := actions.ReadChampion(now.Baseline)
		if err != nil {
			return err
		}
		c.Baseline.Target, c.Gate = l.rules.gate(), l.rules.gate()
		return t.SetModel(l.name, store.Baseline, mustJSON(c))
	})
}

// gateChanged makes the champion's figures in the gating target its baseline, if the stored baseline is of another
// target: serving.gate was changed, which is not drift. The stored answers have all targets, so the service is not
// queried. It does nothing while texts are unscored or a run is active.
func (l *Loop) gateChanged(ctx context.Context) (done bool, err error) {
	release := l.monitor.Release()
	if !ofOtherGate(release) || len(l.monitor.Unscored()) > 0 {
		return false, nil
	}
	if state, err := l.deployed(ctx); err != nil || state.active {
		return false, err
	}
	is, err := l.monitor.Rebase(time.Now().UTC())
	if err != nil {
		return false, err
	}
	err = l.o.Store.Update(ctx, "gate changed", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if row.Champion != release.Digest {
			return errStale
		}
		c, err := actions.ReadChampion(row.Baseline)
		if err != nil {
			return err
		}
		was := c.Baseline
		is.Why = fmt.Sprintf("serving.gate changed from %s to %s", was.Target, is.Target)
		// A probation ends here, because it would compare with the figures of the former target.
		c.Baseline, c.Seq, c.Probation = is, l.monitor.Seq(), nil
		if err := t.SetModel(l.name, store.Baseline, mustJSON(c)); err != nil {
			return err
		}
		if err := t.SetModel(l.name, store.Monitor, ""); err != nil {
			return err
		}
		if l.serving != nil {
			l.serving.Monitor = "" // the tests of the former target must not be restored
			if err := t.SetModel(l.name, store.Serving, mustJSON(l.serving)); err != nil {
				return err
			}
		}
		return l.notify(t, notify.ModelRemeasured, "",
			notify.Remeasured{Release: release.Digest, Why: is.Why, Before: figuresOf(was), Now: figuresOf(is)})
	})
	if err != nil {
		return false, err
	}
	l.log.Info("the baseline was measured again", "reason", is.Why, "release", text.Digest(release.Digest), "accuracy",
		is.Accuracy)
	return true, nil
}
