package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// ownOrigin begins the origin of what retraind's own runs write: counted, never evidence.
const ownOrigin = "retraind:"

// sink stores what the sources of one model read. It decides each item's side once, when it first sees it, and keeps
// the fingerprint of all labels. It implements watch.Sink.
type sink struct {
	store   *store.Store
	model   string
	split   atomic.Pointer[drift.Split] // exchanged when the user's own test set changes
	targets []drift.Target
	log     *slog.Logger
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
	return s.store.Update(ctx, "changes", func(t *store.Tx) error {
		w, err := s.writer(t, source)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if err := w.take(c); err != nil {
				return fmt.Errorf("item %s: %w", c.Item, err)
			}
		}
		return w.close(cursor)
	})
}

// Replace implements watch.Sink.
func (s *sink) Replace(ctx context.Context, source string, items iter.Seq2[watch.Item, error], cursor string) error {
	return s.store.Update(ctx, "full read", func(t *store.Tx) error {
		w, err := s.writer(t, source)
		if err != nil {
			return err
		}
		if w.sweep, err = t.NextSweep(s.model); err != nil {
			return err
		}
		for it, err := range items {
			if err != nil {
				return err
			}
			c := watch.Change{Key: fmt.Sprintf("full:%d:%s", w.sweep, it.ID), Op: watch.OpPut, Item: it.ID, Text: it.Text, New: it.Labels, At: it.At}
			if err := w.take(c); err != nil {
				return fmt.Errorf("item %s: %w", it.ID, err)
			}
		}
		gone, err := t.Unswept(s.model, w.sweep)
		if err != nil {
			return err
		}
		for _, id := range gone {
			if err := w.take(watch.Change{Key: fmt.Sprintf("full:%d:%s", w.sweep, id), Op: watch.OpDelete, Item: id, At: w.now}); err != nil {
				return fmt.Errorf("item %s: %w", id, err)
			}
		}
		return w.close(cursor)
	})
}

// writer is one transaction's work.
type writer struct {
	*sink
	t      *store.Tx
	source string
	sweep  int64
	print  drift.Fingerprint
	now    time.Time
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
	sweep, err := t.LastSweep(s.model)
	return &writer{sink: s, t: t, source: source, sweep: sweep, print: print, now: time.Now().UTC()}, err
}

func (w *writer) close(cursor string) error {
	if err := w.t.SetModel(w.model, store.Info, w.print.String()); err != nil {
		return err
	}
	return w.t.SetCursor(w.model, w.source, cursor)
}

// take stores one change against the item as it was last seen. What changes nothing is not a change.
func (w *writer) take(c watch.Change) error {
	old, err := w.t.Item(w.model, c.Item)
	known := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if c.Op == watch.OpDelete {
		if !known {
			return nil
		}
		n, err := w.record(c, old, store.Item{Heldout: old.Heldout, Group: old.Group, TextHash: old.TextHash})
		if err != nil || n == 0 {
			return err
		}
		w.print.Toggle(old.ID, old.TextHash, old.Labels)
		return w.t.DeleteItem(w.model, c.Item)
	}
	labels, err := drift.CanonicalLabels(w.targets, c.New)
	if err != nil {
		w.log.Warn("a label cannot be counted", "item", c.Item, "err", err)
	}
	split := w.split.Load()
	next := old
	next.ID, next.Labels, next.Own = c.Item, labels, strings.HasPrefix(c.Origin, ownOrigin)
	if c.Text != nil {
		heldout := false
		next.Group, heldout = split.Place(c.Item, c.Text)
		next.TextHash, next.Text = drift.TextHash(c.Text), c.Text
		if !known {
			next.Heldout = heldout
		}
	} else if !known {
		return nil // a label without a text: the source gives the text with the insert, and this item is gone again
	}
	if known && c.Text != nil { // a text that is stored for held-out items alone is needed to change sides
		next.Heldout = split.Follows(c.Item, next.Group, old.Heldout)
	}
	if known && old.TextHash == next.TextHash && old.Heldout == next.Heldout && maps.Equal(old.Labels, next.Labels) {
		return w.t.TouchItem(w.model, c.Item, w.sweep)
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
	return w.t.PutItem(w.model, next, w.sweep)
}

func (w *writer) record(c watch.Change, old, next store.Item) (int64, error) {
	return w.t.AddChange(w.model, store.Change{
		Source: w.source, Key: c.Key, Op: string(c.Op), Item: c.Item, Heldout: next.Heldout, Group: next.Group, TextHash: next.TextHash,
		Old: old.Labels, New: next.Labels, At: c.At, Author: c.Author, Origin: c.Origin,
	}, w.now)
}
