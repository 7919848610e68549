package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// hold is why nothing may start, as kept in the store: the hold of a run that could not prove what serves, or a
// person's.
type hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at,omitzero"`
}

// readHold is nil where nothing is held.
func readHold(row store.Model) (*hold, error) {
	if row.Hold == "" {
		return nil, nil //nolint:nilnil // no hold is no fault
	}
	h := &hold{}
	return h, json.Unmarshal([]byte(row.Hold), h)
}

// refuseHeld is a *status.Refusal where nothing may be started before a person has cleared it.
func refuseHeld(model string, row store.Model) error {
	h, err := readHold(row)
	if err != nil || h == nil {
		return err
	}
	return &status.Refusal{Code: 423, Text: fmt.Sprintf("model %s is %s; when that is settled: retraind resume %[1]s", model, h)}
}

func (h *hold) String() string {
	text := "held"
	if h.By != "" {
		text += " by " + h.By
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// Pause implements status.Backend.
func (b backend) Pause(ctx context.Context, model string, p status.Pause) error {
	if !p.Until.IsZero() && !p.Until.After(time.Now()) {
		return fmt.Errorf("%w: a pause until %s is over already", status.ErrRefused, p.Until.Format(time.RFC3339))
	}
	return b.order(ctx, model, notify.ModelPaused, notify.Paused{By: p.By, Reason: p.Reason, Until: p.Until}, func(t *store.Tx, now time.Time) error {
		return t.PutPause(store.Pause{Model: model, By: p.By, Reason: p.Reason, Since: now, Until: p.Until})
	})
}

// Hold implements status.Backend.
func (b backend) Hold(ctx context.Context, model string, p status.Pause) error {
	return b.order(ctx, model, notify.ModelHeld, notify.Paused{By: p.By, Reason: p.Reason}, func(t *store.Tx, now time.Time) error {
		row, err := t.Model(model)
		if err != nil {
			return err
		}
		if h, err := readHold(row); err != nil || h != nil {
			return fmt.Errorf("%w: model %s is already %s", status.ErrRefused, model, h)
		}
		return t.SetModel(model, store.Hold, mustJSON(hold{By: p.By, Reason: p.Reason, At: now}))
	})
}

// Resume implements status.Backend.
func (b backend) Resume(ctx context.Context, model, by string) error {
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
			own = own || p.Model == model && facts(p).Holds(now)
			every = every || p.Model == store.Everything && facts(p).Holds(now)
		}
		switch {
		case row.Hold != "" || own:
		case model == status.Every:
			return fmt.Errorf("%w: nothing is paused for every model; for one: retraind resume MODEL", status.ErrRefused)
		case every:
			return fmt.Errorf("%w: model %s itself is neither held nor paused, but every model is paused: retraind resume", status.ErrRefused, model)
		default:
			return fmt.Errorf("%w: model %s is neither held nor paused", status.ErrRefused, model)
		}
		if err := t.DropPause(model); err != nil || row.Hold == "" {
			return err
		}
		// A retrain that was demanded before the hold is not what the person asks for now.
		if err := t.SetModel(model, store.Force, ""); err != nil {
			return err
		}
		return t.SetModel(model, store.Hold, "")
	})
}

// order stores what a person said about a model or about all, with its event, and lets the loops look at it.
func (b backend) order(ctx context.Context, model string, kind notify.Kind, data any, write func(*store.Tx, time.Time) error) error {
	subject, affected := daemonModel, slices.Collect(maps.Values(b.d.keepers))
	if model != status.Every {
		k, err := b.keeper(model)
		if err != nil {
			return err
		}
		subject, affected = model, []*keeper{k}
	}
	var refused error // said as it is: it is no failure of the store
	err := b.d.store.Update(ctx, "order", func(t *store.Tx) error {
		if refused = write(t, time.Now().UTC()); refused != nil {
			return refused
		}
		return actions.Notify(t, b.d.host, kind, subject, "", data)
	})
	if errors.Is(refused, status.ErrRefused) {
		return refused
	}
	if err != nil {
		return err
	}
	b.d.log.Info("an order was carried out", "kind", kind, "model", subject)
	for _, k := range affected {
		poke(k.evaluate)
	}
	return nil
}

// facts is a pause as the policy is told of it.
func facts(p store.Pause) *policy.Hold {
	return &policy.Hold{By: p.By, Reason: p.Reason, Since: p.Since, Until: p.Until}
}

// stopped adds holds and pauses to what a decision goes by.
func stopped(t *store.Tx, row store.Model, h *policy.History) error {
	held, err := readHold(row)
	if err != nil {
		return err
	}
	if held != nil {
		h.Held = &policy.Hold{By: held.By, Reason: held.Reason, Since: held.At}
	}
	pauses, err := t.Pauses(row.Name)
	for _, p := range pauses {
		if p.Model == store.Everything {
			h.Stopped = facts(p)
		} else {
			h.Paused = facts(p)
		}
	}
	return err
}

// showStopped adds holds and pauses to what the faces show.
func showStopped(m *status.Model, h policy.History, now time.Time) {
	if h.Held != nil {
		m.Held = &status.Pause{By: h.Held.By, Reason: h.Held.Reason, Since: h.Held.Since}
	}
	for _, p := range []*policy.Hold{h.Paused, h.Stopped} {
		if p.Holds(now) {
			m.Pauses = append(m.Pauses, status.Pause{By: p.By, Reason: p.Reason, Since: p.Since, Until: p.Until, Every: p == h.Stopped})
		}
	}
}

// pauseText says who stopped what, until when and why.
func pauseText(p status.Pause, now time.Time) string {
	text := "paused"
	if p.Every {
		text = "every model is paused"
	}
	if p.By != "" {
		text += " by " + p.By
	}
	if !p.Until.IsZero() {
		text += " until " + policy.LocalTime(p.Until, now)
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
