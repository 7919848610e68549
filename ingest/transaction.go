package ingest

import (
	"fmt"
	"maps"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// transaction applies changes within one transaction of the store.
type transaction struct {
	*Writer
	t           *store.Tx
	batch       *batch
	source      string
	sweep       int64 // number of this full read; in other transactions, of the last full read
	full        bool  // this is a full read, so the keys of its changes are new
	fingerprint drift.Fingerprint
	now         time.Time
	waiting     int   // 0 if no labels are buffered for unknown items
	stored      int64 // changes stored so far
	invalid     int   // items with an invalid label so far
}

func (w *Writer) begin(t *store.Tx, source string) (*transaction, error) {
	m, err := t.Model(w.model)
	if err != nil {
		return nil, err
	}
	fingerprint, ok := drift.ParseFingerprint(m.Info)
	if !ok {
		return nil, fmt.Errorf("invalid stored fingerprint %q", m.Info)
	}
	waiting, err := t.CountEarly(w.model)
	if err != nil {
		return nil, err
	}
	sweep, err := t.LastSweep(w.model)
	return &transaction{
		Writer: w, t: t, batch: newBatch(t, w.model), source: source, sweep: sweep, fingerprint: fingerprint,
		now: time.Now().UTC(), waiting: waiting,
	}, err
}

// finish stores the fingerprint and the source's new position.
func (x *transaction) finish(cursor string) error {
	x.countInvalid()
	if err := x.t.SetModel(x.model, store.Info, x.fingerprint.String()); err != nil {
		return err
	}
	return x.t.SetCursor(x.model, x.source, cursor)
}

// invalidLogged is how many items with an invalid label a transaction logs one by one: a table may have many.
const invalidLogged = 10

// warnInvalid logs the first invalid label of an item, for up to invalidLogged items. Such a label is left out, or
// replaced by a mark if the target has a value for null (see serving.CanonicalLabels).
func (x *transaction) warnInvalid(item string, err error) {
	if err == nil {
		return
	}
	if x.invalid++; x.invalid <= invalidLogged {
		x.log.Warn("an invalid label was ignored", "item", item, "err", err)
	}
}

// countInvalid logs the number of items with an invalid label if not all of them were logged one by one.
func (x *transaction) countInvalid() {
	if x.invalid > invalidLogged {
		x.log.Warn("only the first of many items with an invalid label are logged", "items", x.invalid)
	}
}

// place sets an item's text and its side (held out or training). The split decides the side of a new item. A known item
// keeps its side, unless the user's own test set decides.
func (x *transaction) place(next *store.Item, known bool, text map[string]string) {
	split := x.split.Load()
	group, heldout := split.Place(next.ID, text)
	if known {
		heldout = split.Follows(next.ID, group, next.Heldout)
	}
	next.Group, next.Heldout, next.TextHash, next.Text = group, heldout, drift.TextHash(text), text
}

// putItem stores the new state of an item. It also records a change if a label, the text or the side differs; if a
// change with that key is already stored, it does nothing. After storing a new item, it applies the labels that were
// buffered for it.
func (x *transaction) putItem(c watch.Change, old store.Item, known bool, next store.Item) error {
	if c.At.After(x.now) {
		c.At = x.now // a future date, from a writer's wrong clock, would lower the measured number of labels a day
	}
	next.Sweep = x.sweep
	if known && old.TextHash == next.TextHash && old.Heldout == next.Heldout && maps.Equal(old.Labels, next.Labels) {
		if old.Source == next.Source && maps.Equal(old.Base, next.Base) {
			x.batch.touch(c.Item, x.sweep)
			return nil
		}
		next.Seq, next.At = old.Seq, old.At
		x.batch.put(next)
		return nil
	}
	c.Op = watch.OpLabel
	if !known || old.TextHash != next.TextHash || old.Heldout != next.Heldout {
		c.Op = watch.OpPut
	}
	n, err := x.record(c, old, next)
	if err != nil || n == 0 {
		return err
	}
	if known {
		x.fingerprint.Toggle(old.ID, old.TextHash, old.Labels)
	}
	x.fingerprint.Toggle(next.ID, next.TextHash, next.Labels)
	if !known || old.TextHash != next.TextHash {
		next.Born = n
	}
	next.Seq, next.At = n, c.At
	if !watch.IsOwn(c.Origin) {
		next.Touched = n
	}
	x.batch.put(next)
	if known {
		return nil
	}
	return x.applyWaiting(next.ID)
}

// removeItem deletes an item and records the change.
func (x *transaction) removeItem(c watch.Change, old store.Item) error {
	c.Op = watch.OpDelete
	n, err := x.record(c, old, store.Item{Heldout: old.Heldout, Group: old.Group, TextHash: old.TextHash})
	if err != nil || n == 0 {
		return err
	}
	x.fingerprint.Toggle(old.ID, old.TextHash, old.Labels)
	x.batch.remove(c.Item)
	return nil
}

// record adds a change to the batch and returns its number, or 0 if the change is already stored.
func (x *transaction) record(c watch.Change, old, next store.Item) (int64, error) {
	n, err := x.batch.record(store.Change{
		Source: x.source, Key: c.Key, Op: string(c.Op), Item: c.Item, Heldout: next.Heldout, Group: next.Group,
		TextHash: next.TextHash,
		Old:      old.Labels, New: next.Labels, At: c.At, Author: c.Author, Origin: c.Origin,
	})
	if n > 0 {
		x.stored++
	}
	return n, err
}

// placeAgain decides again which items from events are held out, because the test set has changed.
func (w *Writer) placeAgain(t *store.Tx) error {
	x, err := w.begin(t, "")
	if err != nil {
		return err
	}
	var all []store.Item
	for it, err := range t.Brought(w.model) {
		if err != nil {
			return err
		}
		all = append(all, it)
	}
	for _, old := range all {
		next := old
		x.place(&next, true, old.Text)
		x.source = old.Source
		c := watch.Change{Key: x.key(watch.Event{}), Item: old.ID, At: old.At}
		if err := x.putItem(c, old, true, next); err != nil {
			return fmt.Errorf("item %s: %w", old.ID, err)
		}
	}
	if err := x.batch.flush(x.now); err != nil {
		return err
	}
	return t.SetModel(w.model, store.Info, x.fingerprint.String())
}
