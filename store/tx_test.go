package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/retraind/retraind/store"
)

func TestUpdateIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	woken := 0
	s.OnOutbox(func() { woken++ })
	write := func(tx *store.Tx) error {
		if err := tx.SetModel("m", store.Champion, "sha256:half"); err != nil {
			return err
		}
		return tx.Notify(store.Notification{ID: "1", Kind: "k", Model: "m", Subject: "s", Body: []byte("{}"), Created: noon})
	}
	untouched := func(after string) {
		t.Helper()
		if m := view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }); m.Champion != "" {
			t.Errorf("after %s: half of it is there: %+v", after, m)
		}
		if n := view(t, s, func(tx *store.Tx) (int, error) { return tx.CountWaiting() }); n != 0 || woken != 0 {
			t.Errorf("after %s: %d notifications wait, woken %d times", after, n, woken)
		}
	}

	broken := errors.New("broken")
	err := s.Update(t.Context(), "an error", func(tx *store.Tx) error { return errors.Join(write(tx), broken) })
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "an error: ") {
		t.Errorf("got %v", err)
	}
	untouched("an error")

	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Update(t.Context(), "a panic", func(tx *store.Tx) error {
			_ = write(tx)
			panic("bug")
		})
	}()
	untouched("a panic")

	ended, stop := context.WithCancel(t.Context())
	err = s.Update(ended, "a cancel", func(tx *store.Tx) error {
		err := write(tx)
		stop()
		return err
	})
	if err == nil {
		t.Error("a cancelled transaction was committed")
	}
	untouched("a cancelled context")

	update(t, s, write) // the writer is free after all of that
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
}

// An error that only resembles one of the database must not be treated as one.
func TestForeignErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	s := open(t)
	mine := errors.New("item 7 (13): text (8) of row (11) is odd")
	for _, err := range []error{
		s.Update(t.Context(), "write", func(*store.Tx) error { return mine }),
		s.View(t.Context(), func(*store.Tx) error { return mine }),
	} {
		if !errors.Is(err, mine) || strings.Contains(err.Error(), "disk is full") ||
			strings.Contains(err.Error(), "damaged") {
			t.Errorf("got %v", err)
		}
	}
}

func TestViewStandsStillBesideAWriter(t *testing.T) {
	t.Parallel()
	s := open(t)
	const rounds = 60
	set := func(n int) {
		update(t, s, func(tx *store.Tx) error {
			for _, model := range []string{"a", "b"} {
				if err := tx.SetModel(model, store.Applied, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	set(0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := s.View(context.Background(), func(tx *store.Tx) error {
					a, err := tx.Model("a")
					if err != nil {
						return err
					}
					b, err := tx.Model("b")
					if a.Applied != b.Applied {
						return fmt.Errorf("torn: %d and %d", a.Applied, b.Applied)
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range rounds {
		set(n)
	}
	close(done)
	readers.Wait()
}

func TestViewCannotWrite(t *testing.T) {
	t.Parallel()
	s := open(t)
	_ = s.View(t.Context(), func(tx *store.Tx) error { return tx.SetModel("m", store.Champion, "sha256:1") })
	if m := view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }); m.Champion != "" {
		t.Errorf("a view has written %+v", m)
	}
}

func TestManyWritersQueue(t *testing.T) {
	t.Parallel()
	s := open(t)
	const writers, each = 8, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := s.Update(context.Background(), "count", func(tx *store.Tx) error {
					m, err := tx.Model("m")
					if err != nil {
						return err
					}
					return tx.SetModel("m", store.Applied, m.Applied+1)
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if m := view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }); m.Applied != writers*each {
		t.Errorf("%d of %d increments survived", m.Applied, writers*each)
	}
}
