package daemon

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/retraind/retraind/watch"
)

// takeAll stores some changes: what it needs to know of their items is read, and what comes of them written, at once.
func (w *writer) takeAll(changes []watch.Change) error {
	ids, keys := make([]string, len(changes)), make([]string, len(changes))
	for i, c := range changes {
		ids[i], keys[i] = c.Item, c.Key
	}
	if w.full {
		w.drafts.fresh(w.source, keys)
	} else if err := w.drafts.look(w.source, keys); err != nil {
		return err
	}
	if err := w.drafts.fetch(ids); err != nil {
		return err
	}
	for _, c := range changes {
		if err := w.take(c); err != nil {
			return fmt.Errorf("item %s: %w", c.Item, err)
		}
	}
	return w.drafts.flush(w.now)
}

// takeTable stores what a full read found, and that what it has not found is gone.
func (w *writer) takeTable(items iter.Seq2[watch.Item, error]) error {
	w.full = true
	var some []watch.Change
	size := 0
	for it, err := range items {
		if err != nil {
			return err
		}
		for _, text := range it.Text {
			size += len(text)
		}
		some = append(some, watch.Change{Key: w.sweepKey(it.ID), Op: watch.OpPut, Item: it.ID, Text: it.Text, New: it.Labels, At: it.At})
		if len(some) < draftsAtOnce && size < textsAtOnce {
			continue
		}
		if err := w.takeAll(some); err != nil {
			return err
		}
		clear(some)
		some, size = some[:0], 0
	}
	if err := w.takeAll(some); err != nil {
		return err
	}
	gone, err := w.t.Unswept(w.model, w.sweep)
	if err != nil {
		return err
	}
	for ids := range slices.Chunk(gone, draftsAtOnce) {
		some = some[:0]
		for _, id := range ids {
			some = append(some, watch.Change{Key: w.sweepKey(id), Op: watch.OpDelete, Item: id, At: w.now})
		}
		if err := w.takeAll(some); err != nil {
			return err
		}
	}
	return nil
}

// sweepKey names the change that a full read has found of an item.
func (w *writer) sweepKey(id string) string { return fmt.Sprintf("full:%d:%s", w.sweep, id) }

// take stores one change of the table against the item as it was last seen. What changes nothing is not a change.
func (w *writer) take(c watch.Change) error {
	old, known, err := w.drafts.item(c.Item)
	if err != nil {
		return err
	}
	if w.full && known && old.Sweep == w.sweep {
		return nil // a view has this row twice
	}
	if c.Op == watch.OpDelete {
		if !known || old.Source != "" {
			return nil // what events brought is not the table's to delete
		}
		return w.remove(c, old)
	}
	next := old
	next.ID, next.Base, next.Source = c.Item, nil, ""
	next.Labels = w.canonical(c.Item, c.New)
	switch {
	case c.Text != nil:
		w.place(&next, known, c.Text)
	case known:
		next.Source = old.Source
	default:
		return nil // a label without a text: the source gives the text with the insert, and this item is gone again
	}
	if known && old.Source == "" && old.Base != nil && maps.Equal(old.Base, next.Labels) {
		next.Labels, next.Base = old.Labels, old.Base // an event has said otherwise since, and the table says nothing new
	}
	return w.put(c, old, known, next)
}
