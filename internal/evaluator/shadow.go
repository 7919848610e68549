package evaluator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// decideShadow lets the shadow policy decide on the same report. If the two decisions differ in a new way, the state of
// the shadow policy is stored with an event. Without an event it is stored when one of the two decisions changes, when
// the shadow policy is replaced, or when it would start a run. Other changes are kept in memory.
func (l *Loop) decideShadow(ctx context.Context, r drift.Report, h policy.History, d policy.Decision,
	now time.Time,
) error {
	if l.rules.Shadow == nil {
		l.shadow = nil
		l.setView(func(v *View) { v.Shadow = nil })
		return nil
	}
	if l.shadow == nil {
		l.shadow = &policy.Shadow{}
		if err := l.o.Store.View(ctx, func(t *store.Tx) error {
			row, err := t.Model(l.name)
			if err != nil || row.Shadow == "" {
				return err
			}
			return json.Unmarshal([]byte(row.Shadow), l.shadow)
		}); err != nil {
			return err
		}
	}
	was := *l.shadow
	next, began := was.Beside(l.rules.Shadow, &d,
		func(h policy.History) policy.Decision { return l.rules.Shadow.Decide(r, h, now) }, h, now)
	if began || next.Digest != was.Digest || next.At != was.At || len(next.Starts) != len(was.Starts) {
		err := l.o.Store.Update(ctx, "shadow", func(t *store.Tx) error {
			if err := t.SetModel(l.name, store.Shadow, mustJSON(next)); err != nil || !began {
				return err
			}
			return l.notify(t, notify.ShadowDiffered, "", notify.Shadow{
				Decision: string(next.Real), Shadow: string(next.Would), Text: next.Text, Differences: next.Differences,
				Since: next.Since, Digest: next.Digest,
			})
		})
		if err != nil {
			return err
		}
	}
	l.shadow = &next
	l.setView(func(v *View) { v.Shadow = &next })
	return nil
}
