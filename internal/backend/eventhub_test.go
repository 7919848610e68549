package backend

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/store"
)

// A burst of events in one transaction wakes the hub once, and it reads all of them.
func TestHubReadsABurst(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var counted atomic.Int64
	h := NewHub(s)
	h.Count = func(notify.Event) { counted.Add(1) }
	s.OnOutbox(h.Wake)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	write := func(n int) {
		t.Helper()
		if err := s.Update(t.Context(), "burst", func(tx *store.Tx) error {
			for range n {
				e, err := notify.New(notify.LabelsReceived, "news", "", notify.Labels{Changes: 1}, time.Now())
				if err != nil {
					return err
				}
				body, err := notify.Encode(e, "host")
				if err != nil {
					return err
				}
				if err := tx.Notify(store.Notification{ID: e.ID, Kind: string(e.Kind), Model: "news", Body: body}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Eventually(t, "the hub to run", func() bool {
		write(1)
		return counted.Load() > 0
	})
	const burst = 2500
	write(burst)
	waittest.EventuallyHolds(t, "the burst", func() (bool, error) { return counted.Load() > burst, nil })
}
