package ingest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// TestRespell: an item keeps its side, label and history when the format of its key changes. An item whose new key
// exists already, or that came from events, is not renamed.
func TestRespell(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.table(map[string]string{"old": "a", "twice": "b", "new twice": "b"})
	b.take("http", watch.Event{Item: "event", Text: map[string]string{"text": "x"}, Labels: watch.Labels{"label": "c"}})
	var before store.Item
	read := func(id string) (it store.Item) {
		t.Helper()
		if err := b.w.store.View(t.Context(),
			func(tx *store.Tx) (err error) { it, err = tx.Item("m", id); return err }); err != nil {
			t.Fatal(id, err)
		}
		return it
	}
	before = read("old")
	n, err := b.w.Respell(t.Context(), watch.SourcePostgres, func(keys []string) (map[string]string, error) {
		return map[string]string{"old": "new", "twice": "new twice"}, nil
	})
	if err != nil || n != 1 || !b.w.TakeRenamed() || b.w.TakeRenamed() {
		t.Fatalf("%d items were renamed: %v", n, err)
	}
	after := read("new")
	if before.ID = "new"; after.Seq != before.Seq || after.Heldout != before.Heldout || after.Labels["label"] != "a" ||
		after.Born != before.Born {
		t.Errorf("before %+v, after %+v", before, after)
	}
	b.holds(map[string]string{"new": "a of table", "twice": "b of table", "new twice": "b of table", "event": "c of http"})
	b.table(map[string]string{"new": "a", "new twice": "b"})
	b.holds(map[string]string{"new": "a of table", "new twice": "b of table", "event": "c of http"})
	err = b.w.store.View(t.Context(), func(tx *store.Tx) error {
		changes, err := tx.Changes("m", 0, 100)
		for _, c := range changes {
			if c.Item == "old" {
				t.Error("a change is still recorded under the old key")
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A fault of the store while items are renamed is reported as one, and nothing counts as renamed.
func TestRespellFailsInTheStore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.table(map[string]string{"old": "a"})
	dir := b.w.store.Dir()
	away := func() {
		t.Helper()
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		b.w.store.Check() // it now refuses writes
	}
	back := func() {
		t.Helper()
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		b.w.store.Check()
	}
	respell := func(ctx context.Context, meanwhile func()) error {
		t.Helper()
		n, err := b.w.Respell(ctx, watch.SourcePostgres, func([]string) (map[string]string, error) {
			meanwhile()
			return map[string]string{"old": "new"}, nil
		})
		if n != 0 || b.w.TakeRenamed() {
			t.Errorf("%d items were renamed: %v", n, err)
		}
		return err
	}
	var fault *watch.Fault
	if err := respell(t.Context(), away); !errors.As(err, &fault) || !fault.Store {
		t.Errorf("the write fails: %v", err)
	}
	if err := respell(t.Context(), func() {}); !errors.As(err, &fault) || !fault.Store {
		t.Errorf("the write fails again: %v", err)
	}
	back()
	ctx, cancel := context.WithCancel(t.Context())
	if err := respell(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	b.holds(map[string]string{"old": "a of table"})
}
