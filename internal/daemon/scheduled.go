package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// scheduled takes the evaluation that evaluate.schedule asked for until now, if any, as a request like those of people:
// it is recorded under an id, so that it counts once, and refused when it comes too late, as after a host has slept.
func (k *keeper) scheduled(ctx context.Context, now time.Time) bool {
	due := k.planned
	if due.IsZero() || now.Before(due) {
		return false
	}
	k.planned = k.rule.policy.Scheduled(now)
	if late := now.Sub(due); late > status.MaxAge {
		k.log.Info("a scheduled evaluation is refused: it comes late", "due", due, "late", late.Round(time.Second).String())
		return false
	}
	id := "schedule:" + k.name + ":" + due.UTC().Format(time.RFC3339)
	known := false
	err := k.d.store.Update(ctx, "scheduled", func(t *store.Tx) error {
		_, err := t.RequestOf(id)
		if known = err == nil; !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return t.AddRequest(store.Request{ID: id, Verb: "evaluate", Model: k.name, Answer: json.RawMessage("{}")}, now)
	})
	if err != nil {
		k.log.Warn("a scheduled evaluation could not be recorded; it is made all the same", "due", due, "err", err)
	}
	return !known
}
