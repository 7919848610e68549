package ingest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// bench is a Writer with an empty store.
type bench struct {
	t *testing.T
	w *Writer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	st, err := store.Open(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	targets := []serving.Target{{Name: "label"}, {Name: "tone"}}
	split := drift.NewSplit(drift.HeldoutConfig{Share: 0.5}, []byte("salt"), nil)
	return &bench{t, NewWriter(st, "m", targets, split, slog.New(slog.DiscardHandler))}
}

// table sets the contents of the table to exactly these labels.
func (b *bench) table(labels map[string]string) {
	b.t.Helper()
	err := b.w.Replace(context.Background(), watch.SourcePostgres,
		watch.FullRead{MaxGone: 1, Cursor: "position", Items: func(yield func(watch.Item, error) bool) {
			for _, id := range slices.Sorted(maps.Keys(labels)) {
				if !yield(watch.Item{
					ID: id, Text: map[string]string{"text": "table " + id},
					Labels: watch.Labels{"label": labels[id]},
				}, nil) {
					return
				}
			}
		}})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) take(source string, events ...watch.Event) watch.Receipt {
	b.t.Helper()
	r, err := b.w.Take(context.Background(), watch.Batch{Source: source, Events: events})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// holds checks that the store contains exactly these items, each given as "label of owner", and that the fingerprint
// matches the items.
func (b *bench) holds(want map[string]string) {
	b.t.Helper()
	got := map[string]string{}
	var print drift.Fingerprint
	info := ""
	err := b.w.store.View(context.Background(), func(t *store.Tx) error {
		for it, err := range t.Items("m") {
			if err != nil {
				return err
			}
			owner := it.Source
			if owner == "" {
				owner = "table"
			} else if it.Text["text"] == "" {
				b.t.Errorf("item %s of %s has no text, and no table has it", it.ID, owner)
			}
			got[it.ID] = it.Labels["label"] + " of " + owner
			print.Toggle(it.ID, it.TextHash, it.Labels)
		}
		row, err := t.Model("m")
		info = row.Info
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("items (-want +got):\n%s", diff)
	}
	if info != print.String() {
		b.t.Errorf("fingerprint %s, the items have %s", info, print)
	}
}

func label(item, l string) watch.Event {
	return watch.Event{Item: item, Labels: watch.Labels{"label": l}}
}

func brought(item, text, l string) watch.Event {
	e := label(item, l)
	e.Text = map[string]string{"text": text}
	return e
}

// A full read of the table does not change items that came from events. It does not change the labels that events gave
// to its rows either, until those rows change.
func TestSourcesGoTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.table(map[string]string{"1": "a", "2": "a", "3": "a"})
	b.take(watch.SourceFiles, brought("f1", "from a file", "x"), label("1", "b"))
	b.take(watch.SourceNATS, brought("n1", "from NATS", "y"), label("2", "c"))
	b.holds(map[string]string{
		"1": "b of table", "2": "c of table", "3": "a of table", "f1": "x of files",
		"n1": "y of nats",
	})

	b.table(map[string]string{"1": "a", "2": "z"}) // 1 unchanged, 2 relabelled in the table, 3 deleted
	b.holds(map[string]string{"1": "b of table", "2": "z of table", "f1": "x of files", "n1": "y of nats"})

	b.take(watch.SourceNATS, watch.Event{Item: "1", Delete: true}, watch.Event{Item: "n1", Delete: true})
	b.holds(map[string]string{"1": "a of table", "2": "z of table", "f1": "x of files"})

	b.take(watch.SourceHTTP, brought("2", "another text", "h"))
	b.holds(map[string]string{"1": "a of table", "2": "h of table", "f1": "x of files"})
	b.table(map[string]string{"1": "a", "2": "z", "f1": "t"}) // f1 belongs to the table from now on
	b.holds(map[string]string{"1": "a of table", "2": "h of table", "f1": "t of table"})
	b.table(map[string]string{})
	b.holds(map[string]string{})
}

// A label change in the table replaces the label that an event set before. A change of the text alone does not.
func TestTableChangesAfterEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.table(map[string]string{"1": "a"})
	b.take(watch.SourceNATS, label("1", "b"))
	change := func(key string, op watch.Op, text, from, to string) {
		t.Helper()
		c := watch.Change{Key: key, Op: op, Item: "1", Old: watch.Labels{"label": from}, New: watch.Labels{"label": to}}
		if text != "" {
			c.Text = map[string]string{"text": text}
		}
		if err := b.w.Append(context.Background(), watch.SourcePostgres, []watch.Change{c}, key); err != nil {
			t.Fatal(err)
		}
	}
	change("1", watch.OpPut, "a new text", "a", "a")
	b.holds(map[string]string{"1": "b of table"})
	change("2", watch.OpLabel, "", "a", "c")
	b.holds(map[string]string{"1": "c of table"})
	change("3", watch.OpLabel, "", "c", "a")
	b.holds(map[string]string{"1": "a of table"})
}

func TestEventsCountOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := brought("1", "text", "a")
	one.Key = "k1"
	if r := b.take(watch.SourceNATS, one); r != (watch.Receipt{Taken: 1}) {
		t.Errorf("%+v", r)
	}
	b.take(watch.SourceNATS, label("1", "b"))
	if r := b.take(watch.SourceNATS, one, one); r != (watch.Receipt{Known: 2}) {
		t.Errorf("%+v", r)
	}
	b.holds(map[string]string{"1": "b of nats"})
	// The same key from another source belongs to a different event.
	if r := b.take(watch.SourceHTTP, one); r != (watch.Receipt{Taken: 1}) {
		t.Errorf("%+v", r)
	}
}

// When a file is read again, only events that it did not contain before are applied.
func TestFilesReadAgainSayNothingNew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := func(e watch.Event, again bool) watch.Event {
		e.File, e.Again = "l.jsonl", again
		if again {
			e.Reading = 1
		}
		return e
	}
	b.take(watch.SourceFiles, in(brought("1", "text", "a"), false), in(brought("2", "text 2", "a"), false))
	b.take(watch.SourceNATS, label("1", "b"), label("2", "b"))
	b.take(watch.SourceFiles, in(brought("1", "text", "a"), true), in(brought("2", "text 2", "c"), true))
	b.holds(map[string]string{"1": "b of files", "2": "c of files"})
}

// A label that arrives before its item is buffered until the item arrives from any source.
func TestLabelsWaitForTheirItem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if r := b.take(watch.SourceNATS, label("1", "b"), label("2", "b")); r.Waiting != 2 {
		t.Errorf("%+v", r)
	}
	b.take(watch.SourceFiles, watch.Event{Item: "2", Labels: watch.Labels{"tone": "warm"}},
		watch.Event{Item: "3", Delete: true})
	b.holds(map[string]string{})
	b.table(map[string]string{"1": "a"})
	b.take(watch.SourceFiles, brought("2", "text", "a"))
	b.holds(map[string]string{"1": "b of table", "2": "b of files"})
	err := b.w.store.View(context.Background(), func(tx *store.Tx) error {
		it, err := tx.Item("m", "2")
		if it.Labels["tone"] != "warm" {
			t.Errorf("buffered labels are not merged: %v", it.Labels)
		}
		n, err2 := tx.CountEarly("m")
		if n != 0 {
			t.Errorf("%d labels are still buffered", n)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Positions are stored together with the events, and move to the new names of renamed files.
func TestMarksMoveWithTheEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	take := func(batch watch.Batch) {
		t.Helper()
		batch.Source = watch.SourceFiles
		if _, err := b.w.Take(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	marks := func(want map[string]string) {
		t.Helper()
		got, err := b.w.Marks(ctx, watch.SourceFiles)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("marks (-want +got):\n%s", diff)
		}
	}
	take(watch.Batch{Marks: map[string]string{"a": "1", "b": "2"}})
	marks(map[string]string{"a": "1", "b": "2"})
	take(watch.Batch{Renamed: map[string]string{"a": "b", "b": "c"}, Marks: map[string]string{"b": "1", "c": "2"}})
	marks(map[string]string{"b": "1", "c": "2"})
	take(watch.Batch{Marks: map[string]string{"c": ""}})
	marks(map[string]string{"b": "1"})
	if other, err := b.w.Marks(ctx, watch.SourceNATS); err != nil || len(other) != 0 {
		t.Errorf("another source: %v, %v", other, err)
	}
}
