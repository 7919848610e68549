package ingest

import (
	"context"
	"slices"

	"github.com/retraind/retraind/store"
)

// Respell implements watch.Respeller.
func (w *Writer) Respell(ctx context.Context, source string, spell func(keys []string) (map[string]string, error)) (int,
	error,
) {
	var keys []string
	all := map[string]bool{}
	err := w.store.View(ctx, func(t *store.Tx) error {
		return t.TableKeys(w.model, func(id string, table bool) {
			if all[id] = true; table {
				keys = append(keys, id)
			}
		})
	})
	if err != nil {
		return 0, w.storeFault(err)
	}
	ids := map[string]string{}
	for some := range slices.Chunk(keys, batchItems) {
		spelled, err := spell(some)
		if err != nil {
			return 0, err
		}
		for from, to := range spelled {
			if !all[to] {
				ids[from], all[to] = to, true
			}
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	err = w.store.Update(ctx, "keys", func(t *store.Tx) error {
		x, err := w.begin(t, source)
		if err != nil {
			return err
		}
		old := make([]string, 0, len(ids))
		for from := range ids {
			old = append(old, from)
		}
		items, err := t.States(w.model, old)
		if err != nil {
			return err
		}
		for from, it := range items {
			x.fingerprint.Toggle(from, it.TextHash, it.Labels)
			x.fingerprint.Toggle(ids[from], it.TextHash, it.Labels)
		}
		if err := t.RenameItems(w.model, ids); err != nil {
			return err
		}
		return t.SetModel(w.model, store.Info, x.fingerprint.String())
	})
	if err != nil {
		return 0, w.storeFault(err)
	}
	w.renamed.Store(true)
	return len(ids), nil
}

// TakeRenamed reports whether items were renamed since the last call.
func (w *Writer) TakeRenamed() bool { return w.renamed.Swap(false) }
