package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Pause implements status.Backend.
func (b *Backend) Pause(ctx context.Context, model string, p status.Pause) error {
	if !p.Until.IsZero() && !p.Until.After(time.Now()) {
		return fmt.Errorf("%w: the end of the pause, %s, is in the past", status.ErrRefused, p.Until.Format(time.RFC3339))
	}
	return b.order(ctx, model, notify.ModelPaused, notify.Paused{By: p.By, Reason: p.Reason, Until: p.Until},
		func(t *store.Tx, now time.Time) error {
			return t.PutPause(store.Pause{Model: model, By: p.By, Reason: p.Reason, Since: now, Until: p.Until})
		})
}

// Hold implements status.Backend.
func (b *Backend) Hold(ctx context.Context, model string, p status.Pause) error {
	return b.order(ctx, model, notify.ModelHeld, notify.Paused{By: p.By, Reason: p.Reason},
		func(t *store.Tx, now time.Time) error {
			row, err := t.Model(model)
			if err != nil {
				return err
			}
			h, err := evaluator.ReadHold(row)
			if err != nil {
				return err
			}
			if h != nil {
				return fmt.Errorf("%w: model %s is already %s", status.ErrRefused, model, h)
			}
			return evaluator.WriteHold(t, model, evaluator.Hold{By: p.By, Reason: p.Reason, At: now})
		})
}

// Resume implements status.Backend.
func (b *Backend) Resume(ctx context.Context, model, by string) error {
	return b.order(ctx, model, notify.ModelResumed, notify.Resumed{By: by}, func(t *store.Tx, now time.Time) error {
		row, err := t.Model(model)
		if err != nil {
			return err
		}
		pauses, err := t.Pauses(model)
		if err != nil {
			return err
		}
		own, every := false, false
		for _, p := range pauses {
			own = own || p.Model == model && evaluator.Pause(p).Holds(now)
			every = every || p.Model == store.Everything && evaluator.Pause(p).Holds(now)
		}
		switch {
		case row.Hold != "" || own:
		case model == status.Every:
			return fmt.Errorf("%w: no pause of all models is in force; to resume one model: retraind resume MODEL", status.ErrRefused)
		case every:
			return fmt.Errorf("%w: model %s itself is neither held nor paused, but all models are paused; to end that pause: retraind resume",
				status.ErrRefused, model)
		default:
			return fmt.Errorf("%w: model %s is neither held nor paused", status.ErrRefused, model)
		}
		if err := t.DropPause(model); err != nil || row.Hold == "" {
			return err
		}
		// A retrain that was requested before the hold is dropped: resuming is not a request for a retrain.
		if err := t.SetModel(model, store.Force, ""); err != nil {
			return err
		}
		return t.SetModel(model, store.Hold, "")
	})
}

// order carries out a pause, hold or resume of one model or all models: it stores the change together with its event,
// and wakes the loops.
func (b *Backend) order(ctx context.Context, model string, kind notify.Kind, data any,
	write func(*store.Tx, time.Time) error,
) error {
	subject, affected := notify.DaemonModel, b.o.Models
	if model != status.Every {
		m, err := b.model(model)
		if err != nil {
			return err
		}
		subject, affected = model, []Model{m}
	}
	var refused error // returned unwrapped: a refusal is not a failure of the store
	err := b.o.Store.Update(ctx, "order", func(t *store.Tx) error {
		if refused = write(t, time.Now().UTC()); refused != nil {
			return refused
		}
		return actions.Notify(t, b.o.Host, kind, subject, "", data)
	})
	if errors.Is(refused, status.ErrRefused) {
		return refused
	}
	if err != nil {
		return err
	}
	b.o.Log.Info("a pause, hold or resume was carried out", "kind", kind, "model", subject)
	for _, m := range affected {
		m.Loop.Evaluate()
	}
	return nil
}

// showStopped adds holds and pauses to a model's status.
func showStopped(m *status.Model, h policy.History, now time.Time) {
	if h.Held != nil {
		m.Held = &status.Pause{By: h.Held.By, Reason: h.Held.Reason, Since: h.Held.Since}
	}
	for _, p := range []*policy.Hold{h.Paused, h.Stopped} {
		if p.Holds(now) {
			m.Pauses = append(m.Pauses,
				status.Pause{By: p.By, Reason: p.Reason, Since: p.Since, Until: p.Until, Every: p == h.Stopped})
		}
	}
}

// pauseText describes a pause: who set it, until when and why.
func pauseText(p status.Pause, now time.Time) string {
	out := "paused"
	if p.Every {
		out = "every model is paused"
	}
	if p.By != "" {
		out += " by " + p.By
	}
	if !p.Until.IsZero() {
		out += " until " + text.Clock(p.Until, now, now.Location())
	}
	if p.Reason != "" {
		out += ": " + p.Reason
	}
	return out
}
