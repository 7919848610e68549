package dataset

import (
	"context"
	"errors"
	"iter"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/sources"
)

var errStop = errors.New("stop")

// Reader reads the items of a model, each with its side.
type Reader struct {
	Store   *store.Store // nil before the first start of a daemon
	Model   string
	Labels  *sources.Config
	Split   *drift.Split
	Targets []serving.Target
}

// Rows returns the present items, each on the side that was decided when it was first seen. A row for training or
// validation is marked as Duplicate if its group is held out, because its text must not be trained on.
func (r Reader) Rows(ctx context.Context) iter.Seq2[actions.Row, error] {
	return func(yield func(actions.Row, error) bool) {
		err := r.view(ctx, func(t *store.Tx) error {
			heldout, err := r.heldout(ctx, t)
			if err != nil {
				return err
			}
			for it, err := range r.items(ctx, t) {
				if err != nil {
					return err
				}
				row, err := r.row(t, it, heldout)
				if err != nil {
					return err
				}
				row.Duplicate = row.Side != drift.SideTest && heldout.HasGroup(row.Group)
				if !yield(row, nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(actions.Row{}, err)
		}
	}
}

func (r Reader) view(ctx context.Context, f func(*store.Tx) error) error {
	if r.Store == nil {
		return f(nil)
	}
	return r.Store.View(ctx, f)
}

// heldout returns the items that are held out in the store, and the groups that must not be trained on. Usually all
// items of a group are on one side. Edited texts, or a file that lists only one of two items with the same text, can
// split a group.
func (r Reader) heldout(ctx context.Context, t *store.Tx) (*drift.Seen, error) {
	out := &drift.Seen{}
	defer out.Sort()
	if t != nil {
		if err := t.HeldOutKeys(r.Model, out.Add); err != nil {
			return nil, err
		}
	}
	if r.Split.FileDigest() == "" {
		return out, nil
	}
	for it, err := range r.items(ctx, t) {
		if err != nil {
			return nil, err
		}
		if group, heldout := r.Split.Place(it.ID, it.Text); heldout {
			out.Add("", group)
		}
	}
	return out, nil
}

// row returns an item with its side. It queries the store only for the few items that the split holds out and that are
// not held out in the store, because this query takes longer than everything else.
func (r Reader) row(t *store.Tx, it watch.Item, stored *drift.Seen) (row actions.Row, err error) {
	place := r.Split.Find(it.ID, it.Text)
	heldout := place.Heldout
	side := stored.HasItem(it.ID)
	known := side
	if !known && heldout && t != nil {
		if side, known, err = t.Side(r.Model, it.ID); err != nil {
			return row, err
		}
	}
	if known {
		heldout = r.Split.Follows(it.ID, place.Group, side)
	}
	it.Labels = serving.Values(r.Targets, it.Labels)
	return actions.Row{Item: it, Group: place.Group, Side: place.Side(heldout)}, nil
}

// items returns a model's present items with canonical labels. It reads the items of the table from the table and adds
// later labels from events. It reads the items that came from events from the store. t is nil if no daemon was ever
// started.
func (r Reader) items(ctx context.Context, t *store.Tx) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		relabelled := map[string]store.Item{}
		if t != nil {
			for it, err := range t.Relabelled(r.Model) {
				if err != nil {
					yield(watch.Item{}, err)
					return
				}
				relabelled[it.ID] = it
			}
		}
		if r.Labels.Postgres != nil {
			for it, err := range postgres.Export(ctx, r.Model, r.Labels.Postgres) {
				it.Labels, _ = serving.CanonicalLabels(r.Targets, it.Labels) // invalid labels were logged when they were read
				if known, ok := relabelled[it.ID]; ok {
					labels := serving.MergeRow(r.Targets, known.Labels, known.Base, it.Labels)
					it.Labels, _ = serving.RelabelItem(r.Targets, labels)
				}
				if !yield(it, err) {
					return
				}
			}
		}
		if t == nil {
			return
		}
		for it, err := range t.Brought(r.Model) {
			labels, _ := serving.CanonicalLabels(r.Targets, it.Labels)
			if !yield(watch.Item{ID: it.ID, Text: it.Text, Labels: labels, At: it.At}, err) {
				return
			}
		}
	}
}
