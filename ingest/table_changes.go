package ingest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// applyChanges applies changes of the table: it reads their items, applies each change, and writes the result.
func (x *transaction) applyChanges(changes []watch.Change) error {
	ids, keys := make([]string, len(changes)), make([]string, len(changes))
	for i, c := range changes {
		ids[i], keys[i] = c.Item, c.Key
	}
	if x.full {
		x.batch.fresh(x.source, keys)
	} else if err := x.batch.look(x.source, keys); err != nil {
		return err
	}
	if err := x.batch.fetch(ids); err != nil {
		return err
	}
	for _, c := range changes {
		if err := x.applyChange(c); err != nil {
			return fmt.Errorf("item %s: %w", c.Item, err)
		}
	}
	return x.batch.flush(x.now)
}

// shrinkLeast is the least number of missing items for which a full read may be refused, because in a small table even
// one item is a large share.
const shrinkLeast = 10

// replaceTable applies a full read: it applies each row that was read, and deletes each item of the table that has no
// such row. It returns a *watch.ShrinkError if it would delete too many items.
func (x *transaction) replaceTable(read watch.FullRead) error {
	x.full = true
	known, err := x.t.CountTable(x.model)
	if err != nil {
		return err
	}
	var some []watch.Change
	size := 0
	for it, err := range read.Items {
		if err != nil {
			return err
		}
		for _, text := range it.Text {
			size += len(text)
		}
		some = append(some, watch.Change{
			Key: x.sweepKey(it.ID), Op: watch.OpPut, Item: it.ID, Text: it.Text, New: it.Labels,
			At: it.At,
		})
		if len(some) < batchItems && size < batchBytes {
			continue
		}
		if err := x.applyChanges(some); err != nil {
			return err
		}
		clear(some)
		some, size = some[:0], 0
	}
	if err := x.applyChanges(some); err != nil {
		return err
	}
	gone, err := x.t.Unswept(x.model, x.sweep)
	if err != nil {
		return err
	}
	if len(gone) >= shrinkLeast && float64(len(gone)) > read.MaxGone*float64(known) {
		return &watch.ShrinkError{Known: known, Gone: len(gone)}
	}
	for ids := range slices.Chunk(gone, batchItems) {
		some = some[:0]
		for _, id := range ids {
			some = append(some, watch.Change{Key: x.sweepKey(id), Op: watch.OpDelete, Item: id, At: x.now})
		}
		if err := x.applyChanges(some); err != nil {
			return err
		}
	}
	return nil
}

// sweepKey returns the key of a change that a full read found.
func (x *transaction) sweepKey(id string) string { return fmt.Sprintf("full:%d:%s", x.sweep, id) }

// applyChange applies one change of the table to its item. A row that equals the stored item is not a change.
func (x *transaction) applyChange(c watch.Change) error {
	old, known, err := x.batch.item(c.Item)
	if err != nil {
		return err
	}
	if x.full && known && old.Sweep == x.sweep {
		return nil // the view returned this row twice
	}
	if c.Op == watch.OpDelete {
		if !known || !old.OfTable() {
			return nil // the item came from events and is not in the table
		}
		return x.removeItem(c, old)
	}
	next := old
	next.ID, next.Base, next.Source = c.Item, nil, ""
	table, err := serving.CanonicalLabels(x.targets, c.New)
	x.warnInvalid(c.Item, err)
	next.Labels = table
	switch {
	case c.Text != nil:
		x.place(&next, known, c.Text)
	case known:
		next.Source = old.Source
	default:
		return nil // the item is unknown: its insert would have provided the text, so the item was deleted again
	}
	if known && old.OfTable() && old.Base != nil { // an event has set labels: keep those that the table did not change since
		next.Labels = serving.MergeRow(x.targets, old.Labels, old.Base, table)
		if !maps.Equal(next.Labels, table) {
			next.Base = table
		}
	}
	return x.putItem(c, old, known, next)
}
