package daemon

import (
	"context"
	"sync"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// feed tells whoever follows the daemon live what goes into the outbox.
type feed struct {
	store *store.Store
	wake  chan struct{}
	count func(notify.Event) // nil counts nothing; set before run

	mu        sync.Mutex
	followers map[chan status.Event]struct{} // guarded by mu
}

// followerLag is how many events a follower may be behind before it is dropped.
const followerLag = 256

func newFeed(s *store.Store) *feed {
	return &feed{store: s, wake: make(chan struct{}, 1), followers: map[chan status.Event]struct{}{}}
}

func (f *feed) poke() { poke(f.wake) }

// run carries new notifications to the followers.
func (f *feed) run(ctx context.Context) error {
	var after int64
	if err := f.store.View(ctx, func(t *store.Tx) (err error) { after, err = t.LastNotification(); return err }); err != nil {
		return err
	}
	defer f.closeAll()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.wake:
		}
		var news []store.Notification
		if err := f.store.View(ctx, func(t *store.Tx) (err error) { news, err = t.Notifications(after, 1000); return err }); err != nil {
			continue // the next poke reads them; followers are no promise
		}
		for _, n := range news {
			after = n.N
			if e, err := notify.Decode(n.Body); err == nil {
				if f.count != nil {
					f.count(e)
				}
				f.send(status.Event{ID: e.ID, Kind: string(e.Kind), Model: e.Model, Run: e.Run, At: e.At, Data: e.Data})
			}
		}
	}
}

func (f *feed) send(e status.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.followers {
		select {
		case c <- e:
		default:
			delete(f.followers, c)
			close(c)
		}
	}
}

func (f *feed) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.followers {
		close(c)
	}
	f.followers = nil
}

// follow registers a follower until ctx ends.
func (f *feed) follow(ctx context.Context) <-chan status.Event {
	c := make(chan status.Event, followerLag)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers == nil {
		close(c)
		return c
	}
	f.followers[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, ok := f.followers[c]; ok {
			delete(f.followers, c)
			close(c)
		}
	})
	return c
}
