package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

var _ watch.Inbox = (*sink)(nil)

// Marks implements watch.Inbox. A mark of the source itself has the name "".
func (s *sink) Marks(ctx context.Context, source string) (map[string]string, error) {
	out := map[string]string{}
	err := s.store.View(ctx, func(t *store.Tx) error {
		found, err := t.Cursors(s.model, source)
		for name, position := range found {
			out[strings.TrimPrefix(strings.TrimPrefix(name, source), "/")] = position
		}
		return err
	})
	return out, err
}

// mark is the name under which a position is stored.
func mark(source, name string) string {
	if name == "" {
		return source
	}
	return source + "/" + name
}

// Take implements watch.Inbox.
func (s *sink) Take(ctx context.Context, b watch.Batch) (r watch.Receipt, err error) {
	err = s.store.Update(ctx, "events", func(t *store.Tx) error {
		r = watch.Receipt{}
		w, err := s.writer(t, b.Source)
		if err != nil {
			return err
		}
		if err := w.rename(b.Renamed); err != nil {
			return err
		}
		for some := range slices.Chunk(b.Events, draftsAtOnce) {
			if err := w.eventAll(some, &r); err != nil {
				return err
			}
		}
		for name, position := range b.Marks {
			if position != "" {
				err = t.SetCursor(s.model, mark(b.Source, name), position)
			} else {
				err = errors.Join(t.ForgetCursor(s.model, mark(b.Source, name)), t.ForgetSaid(s.model, name))
			}
			if err != nil {
				return err
			}
		}
		return t.SetModel(s.model, store.Info, w.print.String())
	})
	return r, err
}

// rename gives files their new names. All leave their old ones first: a rotation shifts several at once.
func (w *writer) rename(names map[string]string) error {
	const aside = "\x00" // no file's name
	for from := range names {
		if err := errors.Join(w.t.RenameSaid(w.model, from, aside+from), w.t.ForgetCursor(w.model, mark(w.source, from))); err != nil {
			return err
		}
	}
	for from, to := range names {
		if err := w.t.RenameSaid(w.model, aside+from, to); err != nil {
			return err
		}
	}
	return nil
}

// eventAll stores events against the items as they were last seen.
func (w *writer) eventAll(events []watch.Event, r *watch.Receipt) error {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Item
	}
	if err := w.drafts.fetch(ids); err != nil {
		return err
	}
	for _, e := range events {
		if err := w.event(e, r); err != nil {
			return fmt.Errorf("item %s: %w", e.Item, err)
		}
	}
	return w.drafts.flush(w.now)
}

// event stores one event against the item as it was last seen.
func (w *writer) event(e watch.Event, r *watch.Receipt) error {
	if e.Key != "" {
		first, err := w.t.FirstSight(w.model, w.source, e.Key, w.now)
		if err != nil {
			return err
		}
		if !first {
			r.Known++
			return nil
		}
	}
	r.Taken++
	if e.File != "" {
		says := digest(e)
		said, err := w.t.Said(w.model, e.File, e.Item)
		if err != nil {
			return err
		}
		if said != says {
			err = w.t.Say(w.model, e.File, e.Item, says)
		}
		if err != nil || e.Again && said == says {
			return err
		}
	}
	old, known, err := w.drafts.item(e.Item)
	if err != nil {
		return err
	}
	if !known && (e.Delete || e.Text == nil) {
		if !e.Delete {
			r.Waiting++
		}
		return w.wait(e)
	}
	return w.apply(e, old, known)
}

// apply makes the change of the item that an event means.
func (w *writer) apply(e watch.Event, old store.Item, known bool) error {
	c := watch.Change{Key: w.key(e), Item: e.Item, At: e.At, Author: e.Author, Origin: e.Origin}
	tables := known && old.Source == ""
	if e.Delete && !tables {
		return w.remove(c, old)
	}
	next := old
	next.ID = e.Item
	said := old.Base // what the table says
	if said == nil {
		said = old.Labels
	}
	switch {
	case e.Delete:
		next.Labels = said
	default:
		next.Labels = w.canonical(e.Item, together(old.Labels, e.Labels, e.Unset))
	}
	next.Base = nil
	if tables && !maps.Equal(next.Labels, said) {
		next.Base = said
		if said == nil {
			next.Base = map[string]string{}
		}
	}
	if e.Text != nil && !tables {
		w.place(&next, known, e.Text)
		next.Source = w.source
	}
	return w.put(c, old, known, next)
}

// together are labels with what an event says of some of them.
func together(old, said map[string]string, unset []string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, old)
	maps.Copy(out, said)
	for _, target := range unset {
		delete(out, target)
	}
	return out
}

// placeBrought decides the sides of the items that events brought anew, after the test set has changed.
func (s *sink) placeBrought(t *store.Tx) error {
	w, err := s.writer(t, "")
	if err != nil {
		return err
	}
	var all []store.Item
	for it, err := range t.Brought(s.model) {
		if err != nil {
			return err
		}
		all = append(all, it)
	}
	for _, old := range all {
		next := old
		w.place(&next, true, old.Text)
		w.source = old.Source
		c := watch.Change{Key: w.key(watch.Event{}), Item: old.ID, At: old.At}
		if err := w.put(c, old, true, next); err != nil {
			return fmt.Errorf("item %s: %w", old.ID, err)
		}
	}
	if err := w.drafts.flush(w.now); err != nil {
		return err
	}
	return t.SetModel(s.model, store.Info, w.print.String())
}

// key names the change of an event: by the sender's name for it, or by one of our own.
func (w *writer) key(e watch.Event) string { return cmp.Or(e.Key, "event:"+ulid.Make().String()) }

// wait keeps a label for an item that nobody has brought yet, together with what waits already.
func (w *writer) wait(e watch.Event) error {
	if e.Delete {
		return w.t.ForgetEarly(w.model, e.Item)
	}
	before, err := w.t.Early(w.model, e.Item)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	default:
		var was watch.Event
		if err := json.Unmarshal(before.Event, &was); err != nil {
			return err
		}
		labels := together(was.Labels, e.Labels, e.Unset)
		for _, target := range was.Unset {
			if _, set := e.Labels[target]; !set && !slices.Contains(e.Unset, target) {
				e.Unset = append(slices.Clone(e.Unset), target)
			}
		}
		e.Labels = labels
	}
	w.early++
	return w.t.PutEarly(w.model, e.Item, store.Early{Source: w.source, Event: json.RawMessage(mustJSON(e))}, w.now)
}

// welcome gives a new item the label that waited for it.
func (w *writer) welcome(item string) error {
	if w.early == 0 {
		return nil
	}
	early, err := w.t.Early(w.model, item)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	var e watch.Event
	if err == nil {
		err = json.Unmarshal(early.Event, &e)
	}
	if err != nil {
		return err
	}
	if err := w.t.ForgetEarly(w.model, item); err != nil {
		return err
	}
	old, known, err := w.drafts.item(item)
	if err != nil || !known {
		return err
	}
	e.Key = "" // its name was stored when it came
	mine := w.source
	w.source = early.Source
	defer func() { w.source = mine }()
	return w.apply(e, old, known)
}

// digest is what an event says, without when and by whom.
func digest(e watch.Event) string {
	f := drift.Fingerprint{}
	says := map[string]string{"delete": fmt.Sprint(e.Delete)}
	for target, label := range e.Labels {
		says["label "+target] = label
	}
	for _, target := range e.Unset {
		says["unset "+target] = ""
	}
	hash := ""
	if e.Text != nil {
		hash = drift.TextHash(e.Text)
	}
	f.Toggle(e.Item, hash, says)
	return f.String()
}
