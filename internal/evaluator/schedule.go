package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// scheduled reports whether evaluate.schedule requires an evaluation now. The evaluation is handled like a manual
// request: it is stored under an id, so that it runs at most once. It is skipped if it is late, for example after the
// host was suspended.
func (l *Loop) scheduled(ctx context.Context, now time.Time) bool {
	due := l.planned
	if due.IsZero() {
		return false
	}
	next := l.rules.Policy.Scheduled(now)
	if now.Before(due) {
		if next.Before(due) { // the clock was set back
			l.planned = next
		}
		return false
	}
	l.planned = next
	if late := now.Sub(due); late > policy.MaxRequestAge {
		l.log.Info("a scheduled evaluation is skipped: it is late", "due", due, "late", late.Round(time.Second).String())
		return false
	}
	id := "schedule:" + l.name + ":" + due.UTC().Format(time.RFC3339)
	known := false
	err := l.o.Store.Update(ctx, "scheduled", func(t *store.Tx) error {
		_, err := t.RequestOf(id)
		if known = err == nil; !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return t.AddRequest(store.Request{ID: id, Verb: "evaluate", Model: l.name, Answer: json.RawMessage("{}")}, now)
	})
	if err != nil {
		l.log.Warn("cannot record a scheduled evaluation; it runs anyway", "due", due, "err", err)
	}
	return !known
}
