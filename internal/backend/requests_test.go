package backend

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// A request that is still stored has no run yet: an open run is of another request, such as a redeployment, or a
// rollback.
func TestARequestIsAnsweredWithItsOwnRun(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := New(Options{Store: s})
	update := func(f func(*store.Tx) error) {
		t.Helper()
		if err := s.Update(t.Context(), "test", f); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *store.Tx) error {
		if _, err := tx.AddRun(store.Run{ID: "01other", Model: "m", Pipeline: "redeploy", State: store.RunQueued}); err != nil {
			return err
		}
		return tx.SetModel("m", store.Force, `{"by": "anna"}`)
	})
	short, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if got, err := b.awaitRun(short, "m"); err != nil || got.Run != "" || got.Text != evaluator.Accepted {
		t.Errorf("before its run exists: %+v, %v", got, err)
	}
	update(func(tx *store.Tx) error {
		if _, err := tx.AddRun(store.Run{ID: "02own", Model: "m", Pipeline: "default", State: store.RunQueued}); err != nil {
			return err
		}
		return tx.SetModel("m", store.Force, "")
	})
	if got, err := b.awaitRun(t.Context(), "m"); err != nil || got.Run != "02own" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A stored hold that cannot be read is a fault, not a hold.
func TestHoldThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Update(t.Context(), "test", func(tx *store.Tx) error {
		return tx.SetModel("m", store.Hold, "{")
	}); err != nil {
		t.Fatal(err)
	}
	b := New(Options{Store: s, Models: []Model{{Name: "m"}}})
	if err := b.Hold(t.Context(), "m", status.Pause{By: "anna"}); err == nil || errors.Is(err, status.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// A classifier that must not be queried did not fail to answer.
func TestServedWhileBarred(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]evaluator.View{
		"the service gives the answers of the champion, c":    {},
		"the service did not answer: connection refused":      {ServiceTrouble: "connection refused"},
		"the classifier is not queried: run x has stopped it": {ServiceTrouble: "run x has stopped it", Barred: "run x has stopped it"},
	} {
		v.Serving = &evaluator.Serving{Champion: "c"}
		s := served(v)
		if s.Text != want || (s.State == status.ServedUnknown) != (v.ServiceTrouble != "") {
			t.Errorf("%s: %s, want %s", s.State, s.Text, want)
		}
	}
}
