package backend

import (
	"context"
	"sync"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Hub passes the events of the outbox to live subscribers.
type Hub struct {
	store *store.Store
	wake  chan struct{}
	// Count is called with each event unless it is nil. It must be set before Run.
	Count func(notify.Event)

	mu        sync.Mutex
	followers map[chan status.Event]struct{} // guarded by mu
}

const (
	followerLag = 256  // unread events beyond which a subscriber is dropped
	hubBatch    = 1000 // events read in one transaction
)

// NewHub returns the hub of a store.
func NewHub(s *store.Store) *Hub {
	return &Hub{store: s, wake: make(chan struct{}, 1), followers: map[chan status.Event]struct{}{}}
}

// Wake makes the hub check for new events; it never blocks.
func (h *Hub) Wake() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run passes new events to the subscribers.
func (h *Hub) Run(ctx context.Context) error {
	defer h.closeAll()
	var after int64
	begun := false
	for {
		if !begun { // if this fails, the next wake-up tries again, and subscribers miss the events before that
			begun = h.store.View(ctx, func(t *store.Tx) (err error) {
				after, err = t.LastNotification()
				return err
			}) == nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-h.wake:
		}
		if begun {
			after = h.pass(ctx, after)
		}
	}
}

// pass counts all events after a number, sends them to the subscribers, and returns the number of the last one. After
// an error of the store it returns early: the next wake-up reads the remaining events.
func (h *Hub) pass(ctx context.Context, after int64) int64 {
	for {
		var news []store.Notification
		if err := h.store.View(ctx, func(t *store.Tx) (err error) {
			news, err = t.Notifications(after, hubBatch)
			return err
		}); err != nil || len(news) == 0 {
			return after
		}
		for _, n := range news {
			after = n.N
			if e, err := notify.Decode(n.Body); err == nil {
				if h.Count != nil {
					h.Count(e)
				}
				h.send(status.Event{ID: e.ID, Kind: string(e.Kind), Model: e.Model, Run: e.Run, At: e.At, Data: e.Data})
			}
		}
	}
}

func (h *Hub) send(e status.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.followers {
		select {
		case c <- e:
		default:
			delete(h.followers, c)
			close(c)
		}
	}
}

func (h *Hub) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.followers {
		close(c)
	}
	h.followers = nil
}

// Follow subscribes to new events. The channel is closed when ctx ends, when the subscriber falls behind, or when Run
// returns.
func (h *Hub) Follow(ctx context.Context) <-chan status.Event {
	c := make(chan status.Event, followerLag)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followers == nil {
		close(c)
		return c
	}
	h.followers[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.followers[c]; ok {
			delete(h.followers, c)
			close(c)
		}
	})
	return c
}
