package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// signals carries out what comes in from outside: reload, force, evaluate, and a configuration file that changed.
func (d *Daemon) signals(ctx context.Context) error {
	changed := watchFiles(ctx, d.watched, d.contents(), d.log)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.o.Reload:
			_ = d.reload(ctx, "SIGHUP") // logged and shown by reload itself
		case <-changed:
			_ = d.reload(ctx, fileChanged)
		case <-d.o.Force:
			for name, k := range d.keepers {
				var refused *status.Refusal
				switch err := k.demand(ctx, force{By: "SIGUSR1", At: time.Now().UTC()}, ""); {
				case errors.As(err, &refused):
					d.log.Warn("the forced retrain is refused", "model", name, "why", refused.Text)
				case err != nil:
					d.log.Error("the forced retrain could not be recorded", "model", name, "err", err)
				}
			}
		case <-d.o.Audit:
			for _, k := range d.keepers {
				poke(k.audits)
			}
		case <-d.o.Evaluate:
			for _, k := range d.keepers {
				poke(k.evaluate)
			}
		}
	}
}

// demand records a forced retrain, so that a crash does not forget it, and makes the loop look at once. All requests end
// up here, whichever way they came in; a model that is held refuses with a *status.Refusal. id is the sender's name for the request, if it gave one: it is recorded in the
// same transaction, and a second request of that name demands nothing.
func (k *keeper) demand(ctx context.Context, f force, id string) error {
	err := k.d.store.Update(ctx, "forced", func(t *store.Tx) error {
		if id != "" {
			if _, err := t.RequestOf(id); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			said := mustJSON(status.Triggered{Text: "the retrain is demanded and begins as soon as the loop comes round"})
			if err := t.AddRequest(store.Request{ID: id, Verb: "trigger", Model: k.name, Answer: json.RawMessage(said)}, f.At); err != nil {
				return err
			}
		}
		row, err := t.Model(k.name)
		if err != nil {
			return err
		}
		if err := refuseHeld(k.name, row); err != nil {
			return err
		}
		return t.SetModel(k.name, store.Force, mustJSON(f))
	})
	if err != nil {
		return fmt.Errorf("force %s: %w", k.name, err)
	}
	k.log.Info("a retrain is demanded", "by", f.By, "reason", f.Reason)
	poke(k.evaluate)
	return nil
}
