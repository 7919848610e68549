package daemon

import (
	"context"
	"encoding/json"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// shade lets the shadow policy decide on what the real one has just decided on. A difference is written down with the
// event that tells of it; what only moved on is kept in memory, and with the next difference.
func (k *keeper) shade(ctx context.Context, r drift.Report, h policy.History, d policy.Decision, now time.Time) error {
	if k.rule.shadow == nil {
		k.beside = nil
		k.setView(func(v *view) { v.shadow = nil })
		return nil
	}
	if k.beside == nil {
		k.beside = &policy.Shadow{}
		if err := k.d.store.View(ctx, func(t *store.Tx) error {
			row, err := t.Model(k.name)
			if err != nil || row.Shadow == "" {
				return err
			}
			return json.Unmarshal([]byte(row.Shadow), k.beside)
		}); err != nil {
			return err
		}
	}
	was := *k.beside
	next, began := was.Beside(k.rule.shadow, &d, func(h policy.History) policy.Decision { return k.rule.shadow.Decide(r, h, now) }, h, now)
	if began || next.Digest != was.Digest || next.At != was.At || len(next.Starts) != len(was.Starts) {
		err := k.d.store.Update(ctx, "shadow", func(t *store.Tx) error {
			if err := t.SetModel(k.name, store.Shadow, mustJSON(next)); err != nil || !began {
				return err
			}
			return k.notify(t, notify.ShadowDiffered, "", notify.Shadow{
				Decision: string(next.Real), Shadow: string(next.Would), Text: next.Text, Differences: next.Differences, Since: next.Since, Digest: next.Digest,
			})
		})
		if err != nil {
			return err
		}
	}
	k.beside = &next
	k.setView(func(v *view) { v.shadow = &next })
	return nil
}
