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

// view returns what f reads.
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
