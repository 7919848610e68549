package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func TestOutboxKeepsOrderAndIDs(t *testing.T) {
	t.Parallel()
	s := open(t)
	woken := 0
	s.OnOutbox(func() { woken++ })
	note := func(id string) store.Notification {
		return store.Notification{
			ID: id, Kind: "model.deployed", Model: "m", Subject: "retraind.evt.v1.m.model.deployed",
			Key: "m.current", Body: []byte(`{"id":"` + id + `"}`), Created: noon,
		}
	}
	ids := []string{"z", "b", "y", "a"} // the order of writing, not of names
	for _, id := range ids {
		update(t, s, func(tx *store.Tx) error { return tx.Notify(note(id)) })
	}
	update(t, s, func(tx *store.Tx) error {
		same := note("b")
		same.Body = []byte("changed")
		return tx.Notify(same)
	})
	waiting := func(limit int) []store.Notification {
		return view(t, s, func(tx *store.Tx) ([]store.Notification, error) { return tx.Waiting(limit) })
	}
	var want []store.Notification
	for i, id := range ids {
		n := note(id)
		n.N = int64(i + 1)
		want = append(want, n)
	}
	if diff := cmp.Diff(want, waiting(10)); diff != "" {
		t.Error(diff)
	}
	if woken != 5 {
		t.Errorf("woken %d times for 5 commits", woken)
	}
	update(t, s, func(tx *store.Tx) error { return tx.Published([]string{"z", "y", "unknown"}, noon.Add(time.Hour)) })
	if got := waiting(1); len(got) != 1 || got[0].ID != "b" {
		t.Errorf("next is %+v", got)
	}
	if n := view(t, s, func(tx *store.Tx) (int, error) { return tx.CountWaiting() }); n != 2 {
		t.Errorf("%d wait", n)
	}
	if got := view(t, s, func(tx *store.Tx) ([]store.Notification,
		error,
	) {
		return tx.Notifications(1, 2)
	}); len(got) != 2 || got[0].ID != "b" || got[1].ID != "y" || !got[1].Published.Equal(noon.Add(time.Hour)) {
		t.Errorf("after the first: %+v", got)
	}
	// Only entries that the broker has acknowledged are ever deleted, however old the others are.
	update(t, s, func(tx *store.Tx) error { return tx.PruneOutbox(noon.Add(time.Hour)) })
	if got := view(t, s, func(tx *store.Tx) ([]store.Notification,
		error,
	) {
		return tx.Notifications(0, 10)
	}); len(got) != 4 {
		t.Errorf("%d are left, pruned at the very time", len(got))
	}
	update(t, s, func(tx *store.Tx) error { return tx.PruneOutbox(noon.Add(1000 * time.Hour)) })
	left := view(t, s, func(tx *store.Tx) ([]store.Notification, error) { return tx.Notifications(0, 10) })
	if len(left) != 2 || left[0].ID != "b" || left[1].ID != "a" {
		t.Errorf("left are %+v", left)
	}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.Published([]string{"a", "b"}, noon), tx.PruneOutbox(noon.Add(time.Hour)), tx.Notify(note("c")))
	})
	if n := view(t, s, func(tx *store.Tx) (int64, error) { return tx.LastNotification() }); n != 6 {
		t.Errorf("the next number is %d: numbers of deleted ones came back", n)
	}
}
