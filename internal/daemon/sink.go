package daemon

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// sink stores what the sources of one model read. It decides each item's side once, when it first sees it, and keeps
// the fingerprint of all labels. It implements watch.Sink.
type sink struct {
	store   *store.Store
	model   string
	split   atomic.Pointer[drift.Split] // exchanged when the user's own test set changes
	targets []serving.Target
	log     *slog.Logger
	news    atomic.Int64 // changes stored since the loop was poked last: of what a source reads much may be none
}

var _ watch.Sink = (*sink)(nil)

// Cursor implements watch.Sink.
func (s *sink) Cursor(ctx context.Context, source string) (position string, err error) {
	err = s.store.View(ctx, func(t *store.Tx) error {
		position, err = t.Cursor(s.model, source)
		return err
	})
	return position, err
}

// Append implements watch.Sink.
func (s *sink) Append(ctx context.Context, source string, changes []watch.Change, cursor string) error {
	var w *writer
	err := s.store.Update(ctx, "changes", func(t *store.Tx) (err error) {
		if w, err = s.writer(t, source); err != nil {
			return err
		}
		for some := range slices.Chunk(changes, draftsAtOnce) {
			if err := w.takeAll(some); err != nil {
				return err
			}
		}
		return w.close(cursor)
	})
	if err == nil {
		s.news.Add(w.news)
	}
	return err
}

// Replace implements watch.Sink.
func (s *sink) Replace(ctx context.Context, source string, items iter.Seq2[watch.Item, error], cursor string) error {
	err := s.store.Update(ctx, "full read", func(t *store.Tx) error {
		w, err := s.writer(t, source)
		if err != nil {
			return err
		}
		if w.sweep, err = t.NextSweep(s.model); err != nil {
			return err
		}
		if err := w.takeTable(items); err != nil {
			return err
		}
		return w.close(cursor)
	})
	if err == nil {
		s.news.Add(1) // worth a look, whatever it brought
	}
	return err
}

// writer is one transaction's work.
type writer struct {
	*sink
	t      *store.Tx
	drafts *drafts
	source string
	sweep  int64
	full   bool // a full read, whose names for changes are new
	print  drift.Fingerprint
	now    time.Time
	early  int   // labels that wait for their items
	news   int64 // changes that it stored
}

func (s *sink) writer(t *store.Tx, source string) (*writer, error) {
	m, err := t.Model(s.model)
	if err != nil {
		return nil, err
	}
	print, ok := drift.ParseFingerprint(m.Info)
	if !ok {
		return nil, fmt.Errorf("stored fingerprint %q cannot be read", m.Info)
	}
	early, err := t.CountEarly(s.model)
	if err != nil {
		return nil, err
	}
	sweep, err := t.LastSweep(s.model)
	return &writer{sink: s, t: t, drafts: newDrafts(t, s.model), source: source, sweep: sweep, print: print, now: time.Now().UTC(), early: early}, err
}

func (w *writer) close(cursor string) error {
	if err := w.t.SetModel(w.model, store.Info, w.print.String()); err != nil {
		return err
	}
	return w.t.SetCursor(w.model, w.source, cursor)
}

// canonical are labels as they are counted.
func (w *writer) canonical(item string, labels map[string]string) map[string]string {
	out, err := serving.CanonicalLabels(w.targets, labels)
	if err != nil {
		w.log.Warn("a label cannot be counted", "item", item, "err", err)
	}
	return out
}

// place gives an item its text and with it its side.
func (w *writer) place(next *store.Item, known bool, text map[string]string) {
	split := w.split.Load()
	group, heldout := split.Place(next.ID, text)
	if known { // a text that is stored for held-out items alone is needed to change sides
		heldout = split.Follows(next.ID, group, next.Heldout)
	}
	next.Group, next.Heldout, next.TextHash, next.Text = group, heldout, drift.TextHash(text), text
}

// put stores what an item has become. A new item finds the label that waits for it.
func (w *writer) put(c watch.Change, old store.Item, known bool, next store.Item) error {
	if c.At.After(w.now) {
		c.At = w.now // a clock that runs ahead must not make the labels of today look rare
	}
	next.Sweep = w.sweep
	if known && old.TextHash == next.TextHash && old.Heldout == next.Heldout && maps.Equal(old.Labels, next.Labels) {
		if old.Source == next.Source && maps.Equal(old.Base, next.Base) {
			w.drafts.touch(c.Item, w.sweep)
			return nil
		}
		next.Seq, next.At = old.Seq, old.At
		w.drafts.put(next)
		return nil
	}
	c.Op = watch.OpLabel
	if !known || old.TextHash != next.TextHash || old.Heldout != next.Heldout {
		c.Op = watch.OpPut
	}
	n, err := w.record(c, old, next)
	if err != nil || n == 0 {
		return err
	}
	if known {
		w.print.Toggle(old.ID, old.TextHash, old.Labels)
	}
	w.print.Toggle(next.ID, next.TextHash, next.Labels)
	if !known || old.TextHash != next.TextHash {
		next.Born = n
	}
	next.Seq, next.At = n, c.At
	if !watch.IsOwn(c.Origin) {
		next.Touched = n
	}
	w.drafts.put(next)
	if known {
		return nil
	}
	return w.welcome(next.ID)
}

// remove stores that an item is gone.
func (w *writer) remove(c watch.Change, old store.Item) error {
	c.Op = watch.OpDelete
	n, err := w.record(c, old, store.Item{Heldout: old.Heldout, Group: old.Group, TextHash: old.TextHash})
	if err != nil || n == 0 {
		return err
	}
	w.print.Toggle(old.ID, old.TextHash, old.Labels)
	w.drafts.remove(c.Item)
	return nil
}

func (w *writer) record(c watch.Change, old, next store.Item) (int64, error) {
	n, err := w.drafts.record(store.Change{
		Source: w.source, Key: c.Key, Op: string(c.Op), Item: c.Item, Heldout: next.Heldout, Group: next.Group, TextHash: next.TextHash,
		Old: old.Labels, New: next.Labels, At: c.At, Author: c.Author, Origin: c.Origin,
	})
	if n > 0 {
		w.news++
	}
	return n, err
}
