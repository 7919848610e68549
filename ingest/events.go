package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Marks implements watch.Inbox: it returns the stored positions of a source by name. The name "" has the position of
// the source itself.
func (w *Writer) Marks(ctx context.Context, source string) (map[string]string, error) {
	out := map[string]string{}
	err := w.store.View(ctx, func(t *store.Tx) error {
		found, err := t.Cursors(w.model, source)
		for name, position := range found {
			out[strings.TrimPrefix(strings.TrimPrefix(name, source), "/")] = position
		}
		return err
	})
	return out, w.storeFault(err)
}

// cursorName returns the name under which a position is stored.
func cursorName(source, name string) string {
	if name == "" {
		return source
	}
	return source + "/" + name
}

// Take implements watch.Inbox.
func (w *Writer) Take(ctx context.Context, b watch.Batch) (r watch.Receipt, err error) {
	err = w.store.Update(ctx, "events", func(t *store.Tx) error {
		r = watch.Receipt{}
		x, err := w.begin(t, b.Source)
		if err != nil {
			return err
		}
		if err := x.rename(b.Renamed); err != nil {
			return err
		}
		for some := range slices.Chunk(b.Events, batchItems) {
			if err := x.applyEvents(some, &r); err != nil {
				return err
			}
		}
		for name, position := range b.Marks {
			if position != "" {
				err = t.SetCursor(w.model, cursorName(b.Source, name), position)
			} else {
				err = errors.Join(t.ForgetCursor(w.model, cursorName(b.Source, name)), t.ForgetSaid(w.model, name))
			}
			if err != nil {
				return err
			}
		}
		x.countInvalid()
		return t.SetModel(w.model, store.Info, x.fingerprint.String())
	})
	return r, w.storeFault(err)
}

// rename moves what is stored about the events of renamed label files to the new names, and deletes the positions under
// the old names. It first moves everything to temporary names, because a rotation renames several files at once.
func (x *transaction) rename(names map[string]string) error {
	const aside = "\x00" // cannot occur in a file name
	for from := range names {
		if err := errors.Join(x.t.RenameSaid(x.model, from, aside+from),
			x.t.ForgetCursor(x.model, cursorName(x.source, from))); err != nil {
			return err
		}
	}
	for from, to := range names {
		if err := x.t.RenameSaid(x.model, aside+from, to); err != nil {
			return err
		}
	}
	return nil
}

// applyEvents applies events: it reads their items, applies each event, and writes the result.
func (x *transaction) applyEvents(events []watch.Event, r *watch.Receipt) error {
	var ids []string
	for _, e := range events {
		if e.Item != "" {
			ids = append(ids, e.Item)
		}
	}
	if err := x.batch.fetch(ids); err != nil {
		return err
	}
	for _, e := range events {
		if err := x.applyEvent(e, r); err != nil {
			return fmt.Errorf("item %s: %w", e.Item, err)
		}
	}
	return x.batch.flush(x.now)
}

// applyEvent applies one event to its item. It ignores an event whose key is stored.
func (x *transaction) applyEvent(e watch.Event, r *watch.Receipt) error {
	if e.Key != "" {
		first, err := x.t.FirstSight(x.model, x.source, e.Key, x.now)
		if err != nil {
			return err
		}
		if !first {
			r.Known++
			return nil
		}
	}
	if e.Withdrawn {
		return x.withdraw(e, r)
	}
	newest, err := x.inOrder(e)
	if err != nil {
		return err
	}
	if newest == nil {
		r.Older++
		return nil
	}
	r.Taken++
	return x.apply(*newest, r)
}

// apply applies the new parts of an event to its item. It buffers labels for an unknown item.
func (x *transaction) apply(e watch.Event, r *watch.Receipt) error {
	fresh, err := x.newStatement(e)
	if err != nil || fresh == nil {
		return err
	}
	old, known, err := x.batch.item(e.Item)
	if err != nil {
		return err
	}
	if known || e.Text == nil { // otherwise the event creates the item, and all of it is applied
		e = *fresh
	}
	if !known && (e.Delete || e.Text == nil) {
		if !e.Delete {
			r.Waiting++
		}
		return x.keepWaiting(e)
	}
	return x.changeItem(e, old, known)
}

// changeItem applies an event to an item.
func (x *transaction) changeItem(e watch.Event, old store.Item, known bool) error {
	c := watch.Change{Key: x.key(e), Item: e.Item, At: e.At, Author: e.Author, Origin: e.Origin}
	tables := known && old.OfTable()
	if e.Delete && !tables {
		return x.removeItem(c, old)
	}
	next := old
	next.ID = e.Item
	said := old.Base // the table's own labels
	if said == nil {
		said = old.Labels
	}
	if next.Labels = said; !e.Delete {
		var err error
		next.Labels, err = serving.RelabelItem(x.targets, mergeLabels(old.Labels, e.Labels, e.Unset))
		x.warnInvalid(e.Item, err)
	}
	next.Base = nil
	if tables && !maps.Equal(next.Labels, said) {
		next.Base = said
		if said == nil {
			next.Base = map[string]string{}
		}
	}
	if e.Text != nil && !tables {
		x.place(&next, known, e.Text)
		next.Source = x.source
	}
	return x.putItem(c, old, known, next)
}

// mergeLabels returns a copy of the old labels in which those in `said` are added or replaced, and the targets in
// `unset` are removed.
func mergeLabels(old, said map[string]string, unset []string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, old)
	maps.Copy(out, said)
	for _, target := range unset {
		delete(out, target)
		delete(out, serving.InvalidLabel(target))
	}
	return out
}

// key returns the key of an event's change: the sender's key, or a new one if the sender set none.
func (x *transaction) key(e watch.Event) string { return cmp.Or(e.Key, "event:"+ulid.Make().String()) }
