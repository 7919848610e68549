package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Writer stores the changes that the sources of one model deliver. It implements watch.Sink for rows of the table and
// watch.Inbox for events. When it first sees an item, it decides whether the item is held out. It also maintains the
// fingerprint of all items with their texts and labels.
type Writer struct {
	store    *store.Store
	model    string
	targets  []serving.Target
	log      *slog.Logger
	split    atomic.Pointer[drift.Split] // replaced when the user's own test set changes
	changed  atomic.Int64                // for TakeChanged
	shrunk   atomic.Bool                 // the last full read was refused with a ShrinkError
	accepted atomic.Bool                 // the next full read may delete any number of items
	renamed  atomic.Bool                 // items were renamed since TakeRenamed was last called
}

var (
	_ watch.Sink  = (*Writer)(nil)
	_ watch.Inbox = (*Writer)(nil)

	_ watch.Respeller = (*Writer)(nil)
)

// NewWriter returns the writer of a model. The targets define which labels are stored and in which canonical form.
func NewWriter(s *store.Store, model string, targets []serving.Target, split *drift.Split, log *slog.Logger) *Writer {
	w := &Writer{store: s, model: model, targets: targets, log: log}
	w.split.Store(split)
	return w
}

// Split returns the split that decides which items are held out.
func (w *Writer) Split() *drift.Split { return w.split.Load() }

// Targets returns the targets whose labels are stored.
func (w *Writer) Targets() []serving.Target { return w.targets }

// TakeChanged returns how many changes of the table Append has stored since the last call; each full read counts as one
// change. Many rows that a source reads change nothing, so this count, and not the number of rows read, decides whether
// an evaluation is due. Changes by events are not included: their sources report the number of accepted events.
func (w *Writer) TakeChanged() int { return int(w.changed.Swap(0)) }

// Cursor implements watch.Sink.
func (w *Writer) Cursor(ctx context.Context, source string) (position string, err error) {
	err = w.store.View(ctx, func(t *store.Tx) error {
		position, err = t.Cursor(w.model, source)
		return err
	})
	return position, w.storeFault(err)
}

// Append implements watch.Sink.
func (w *Writer) Append(ctx context.Context, source string, changes []watch.Change, cursor string) error {
	var x *transaction
	err := w.store.Update(ctx, "changes", func(t *store.Tx) (err error) {
		if x, err = w.begin(t, source); err != nil {
			return err
		}
		for some := range slices.Chunk(changes, batchItems) {
			if err := x.applyChanges(some); err != nil {
				return err
			}
		}
		return x.finish(cursor)
	})
	if err == nil {
		w.changed.Add(x.stored)
	}
	return w.storeFault(err)
}

// Replace implements watch.Sink.
func (w *Writer) Replace(ctx context.Context, source string, read watch.FullRead) error {
	if w.accepted.Load() {
		read.MaxGone = 1
	}
	err := w.store.Update(ctx, "full read", func(t *store.Tx) error {
		x, err := w.begin(t, source)
		if err != nil {
			return err
		}
		if x.sweep, err = t.NextSweep(w.model); err != nil {
			return err
		}
		if err := x.replaceTable(read); err != nil {
			return err
		}
		return x.finish(read.Cursor)
	})
	var shrunk *watch.ShrinkError
	w.shrunk.Store(errors.As(err, &shrunk))
	if err == nil {
		w.accepted.Store(false)
		w.changed.Add(1) // evaluate after a full read even if it changed nothing
	}
	return w.storeFault(err)
}

// AcceptShrink lets the next full read delete any number of items. It returns false, and changes nothing, if the last
// full read was not refused.
func (w *Writer) AcceptShrink() bool {
	if !w.shrunk.Load() {
		return false
	}
	w.accepted.Store(true)
	return true
}
