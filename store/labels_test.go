package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func TestCursors(t *testing.T) {
	t.Parallel()
	s := open(t)
	read := func(model string) string {
		return view(t, s, func(tx *store.Tx) (string, error) { return tx.Cursor(model, "postgres") })
	}
	if got := read("m"); got != "" {
		t.Errorf("before the first read: %q", got)
	}
	for _, p := range []string{`{"xmin":1}`, `{"xmin":2}`} {
		update(t, s, func(tx *store.Tx) error { return tx.SetCursor("m", "postgres", p) })
		if got := read("m"); got != p {
			t.Errorf("got %q, want %q", got, p)
		}
	}
	if got := read("n"); got != "" {
		t.Errorf("another model's cursor: %q", got)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	s := open(t)
	held := store.Item{
		ID: "b", Heldout: true, TextHash: "h1", Text: map[string]string{"title": "Wölfe & <b>"},
		Labels: map[string]string{"l": "x"}, Seq: 3, Touched: 2, At: noon,
	}
	trained := store.Item{
		ID: "a", TextHash: "h2", Text: map[string]string{"title": "kept by the source alone"},
		Labels: map[string]string{}, Seq: 4, At: noon,
	}
	update(t, s, func(tx *store.Tx) error { return errors.Join(tx.PutItems("m", held, trained)) })
	trained.Text = nil // only held-out texts are stored
	all := func(tx *store.Tx) (out []store.Item, err error) {
		for it, err := range tx.Items("m") {
			if err != nil {
				return nil, err
			}
			out = append(out, it)
		}
		return out, nil
	}
	if diff := cmp.Diff([]store.Item{trained, held}, view(t, s, all)); diff != "" {
		t.Error(diff)
	}
	for it, err := range heldOut(t, s) {
		if err != nil || it.ID != "b" {
			t.Errorf("held out: %+v, %v", it, err)
		}
	}
	moved := held
	moved.TextHash, moved.Group, moved.Born, moved.Labels = "h3", "g3", 7, map[string]string{"l": "y"}
	update(t, s, func(tx *store.Tx) error { return tx.PutItems("m", moved) })
	got := view(t, s, func(tx *store.Tx) (store.Item, error) { return tx.Item("m", "b") })
	if !got.Heldout || got.TextHash != "h3" || got.Group != "g3" || got.Born != 7 || got.Labels["l"] != "y" {
		t.Errorf("got %+v", got)
	}
	for id, want := range map[string][2]bool{"a": {false, true}, "b": {true, true}, "c": {false, false}} {
		side := view(t, s, func(tx *store.Tx) ([2]bool, error) {
			heldout, known, err := tx.Side("m", id)
			return [2]bool{heldout, known}, err
		})
		if side != want {
			t.Errorf("side of %s: held out, known = %v, want %v", id, side, want)
		}
	}
	update(t, s, func(tx *store.Tx) error { return tx.DeleteItem("m", "b") })
	if err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.Item("m", "b"); return err }); !errors.Is(err,
		store.ErrNotFound) {
		t.Errorf("a deleted item: %v", err)
	}
}

func heldOut(t *testing.T, s *store.Store) func(func(store.Item, error) bool) {
	return func(yield func(store.Item, error) bool) {
		_ = s.View(t.Context(), func(tx *store.Tx) error {
			tx.HeldOut("m")(yield)
			return nil
		})
	}
}

func TestItemsStopEarly(t *testing.T) {
	t.Parallel()
	s := open(t)
	update(t, s, func(tx *store.Tx) error {
		for i := range 10 {
			if err := tx.PutItems("m", store.Item{ID: fmt.Sprint(i), At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	n := 0
	update(t, s, func(tx *store.Tx) error {
		for _, err := range tx.Items("m") {
			if err != nil {
				return err
			}
			if n++; n == 3 {
				break
			}
		}
		return tx.TouchItems("m", []string{"3"}, 9) // the rows were closed: the transaction continues
	})
	if n != 3 {
		t.Errorf("%d items", n)
	}
}

func TestSweepsFindWhatIsGone(t *testing.T) {
	t.Parallel()
	s := open(t)
	sweep := func(ids ...string) (int64, []string) {
		var n int64
		var gone []string
		update(t, s, func(tx *store.Tx) (err error) {
			if n, err = tx.NextSweep("m"); err != nil {
				return err
			}
			for _, id := range ids {
				if _, known, err := tx.Side("m", id); err != nil {
					return err
				} else if known {
					err = tx.TouchItems("m", []string{id}, n)
					if err != nil {
						return err
					}
					continue
				}
				if err := tx.PutItems("m", store.Item{ID: id, At: noon, Sweep: n}); err != nil {
					return err
				}
			}
			if gone, err = tx.Unswept("m", n); err != nil {
				return err
			}
			for _, id := range gone {
				if err := tx.DeleteItem("m", id); err != nil {
					return err
				}
			}
			return nil
		})
		return n, gone
	}
	if n := view(t, s, func(tx *store.Tx) (int64, error) { return tx.LastSweep("m") }); n != 0 {
		t.Errorf("before the first: %d", n)
	}
	for i, c := range []struct{ ids, gone []string }{
		{[]string{"a", "b", "c"}, nil},
		{[]string{"a", "c"}, []string{"b"}},
		{nil, []string{"a", "c"}}, // the table was emptied …
		{[]string{"a"}, nil},      // … and filled again: the number must not be reused, it identifies changes forever
	} {
		n, gone := sweep(c.ids...)
		if n != int64(i+1) || !slices.Equal(gone, c.gone) {
			t.Errorf("full read %d has number %d and misses %v, want %v", i+1, n, gone, c.gone)
		}
	}
	if n := view(t, s, func(tx *store.Tx) (int64, error) { return tx.LastSweep("m") }); n != 4 {
		t.Errorf("the last was %d", n)
	}
}

func TestChangesAreStoredOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := store.Change{
		Source: "postgres", Key: "1:1", Op: "label", Item: "a", Heldout: true, TextHash: "h",
		Old: map[string]string{"l": "x"}, New: map[string]string{"l": "y"}, At: noon, Author: "anna", Origin: "",
	}
	add := func(model string, c store.Change) (n int64) {
		update(t, s, func(tx *store.Tx) (err error) {
			n, err = add(tx, model, c)
			return err
		})
		return n
	}
	n := add("m", first)
	again := first
	again.New = map[string]string{"l": "z"}
	if n == 0 || add("m", again) != 0 {
		t.Fatalf("stored as %d, and the same key again", n)
	}
	other := first
	other.Source = "files"
	insert := first
	insert.Key, insert.Old = "1:2", nil
	a, b, c := add("m", other), add("n", first), add("m", insert)
	if a <= n || b <= a || c <= b {
		t.Errorf("numbers %d, %d, %d, %d do not grow", n, a, b, c)
	}
	first.N, other.N, insert.N = n, a, c
	read := func(after int64, limit int) []store.Change {
		return view(t, s, func(tx *store.Tx) ([]store.Change, error) { return tx.Changes("m", after, limit) })
	}
	if diff := cmp.Diff([]store.Change{first, other, insert}, read(0, 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]store.Change{other}, read(n, 1)); diff != "" {
		t.Error(diff)
	}
	for model, want := range map[string]int64{"m": c, "n": b, "none": 0} {
		if got := view(t, s, func(tx *store.Tx) (int64, error) { return tx.LastChange(model) }); got != want {
			t.Errorf("last change of %s: %d, want %d", model, got, want)
		}
	}
}
