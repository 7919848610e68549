package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/retraind/retraind/store"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456000, time.UTC)

// open returns an empty store that is closed with the test.
func open(t testing.TB) *store.Store {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// update runs f in a transaction that must succeed.
func update(t testing.TB, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), "test", f); err != nil {
		t.Fatal(err)
	}
}

// view returns the result of f.
func view[T any](t testing.TB, s *store.Store, f func(*store.Tx) (T, error)) T {
	t.Helper()
	var out T
	if err := s.View(context.Background(), func(tx *store.Tx) (err error) {
		out, err = f(tx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// add stores a change once and returns its number, 0 if it was stored before.
func add(tx *store.Tx, model string, c store.Change) (n int64, err error) {
	known := false
	if err := tx.Recorded(model, c.Source, []string{c.Key}, func(string) { known = true }); err != nil || known {
		return 0, err
	}
	if c.N, err = tx.NextChange(); err != nil {
		return 0, err
	}
	return c.N, tx.AddChanges(model, []store.Change{c}, noon)
}
