//go:build !race

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/notify"
)

// witness checks continuously that `current`, if it exists, points to a complete release with the right digest.
type witness struct {
	link string
	stop context.CancelFunc
	done chan struct{}

	looks int      // this field and those below are valid once done is closed
	seen  []string // digests in the order in which they served
	err   error
}

func observe(state string) *witness {
	ctx, stop := context.WithCancel(context.Background())
	w := &witness{link: actions.CurrentLink(filepath.Join(state, "models", model)), stop: stop, done: make(chan struct{})}
	go w.run(ctx)
	return w
}

func (w *witness) run(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := w.look(); err != nil && w.err == nil {
			w.err = err
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *witness) look() error {
	target, err := os.Readlink(w.link)
	if errors.Is(err, os.ErrNotExist) {
		if len(w.seen) > 0 {
			return errors.New("the link `current` existed before and has disappeared")
		}
		return nil
	}
	if err != nil {
		return err
	}
	r, err := actions.ReadRelease(filepath.Join(filepath.Dir(w.link), target))
	if err != nil {
		return fmt.Errorf("the link `current` points to an incomplete release: %w", err)
	}
	w.looks++
	if len(w.seen) == 0 || w.seen[len(w.seen)-1] != r.Digest {
		w.seen = append(w.seen, r.Digest)
	}
	return nil
}

func (w *witness) close() { w.stop(); <-w.done }

// subscriber is an ordinary NATS subscriber. It is connected whenever the daemon's broker runs.
type subscriber struct {
	conn *nats.Conn

	mu     sync.Mutex
	bodies map[string]string
	twice  int
	errs   []error
}

func subscribe(address, state string) (*subscriber, error) {
	s := &subscriber{bodies: map[string]string{}}
	key := filepath.Join(state, notify.ClientKeyFile)
	if _, err := notify.ClientKey(key); err != nil { // creates the key file before the daemon starts, which then uses it
		return nil, err
	}
	identity, err := nats.NkeyOptionFromSeed(key)
	if err != nil {
		return nil, err
	}
	s.conn, err = nats.Connect("nats://"+address, identity, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		return nil, err
	}
	_, err = s.conn.Subscribe("retraind.evt.v1.>", s.receive)
	return s, err
}

func (s *subscriber) receive(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := notify.Decode(m.Data)
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	if id := m.Header.Get(nats.MsgIdHdr); id != e.ID {
		s.errs = append(s.errs, fmt.Errorf("event %s was received with the message id %q, which should be the event's id",
			e.ID, id))
	}
	if body, again := s.bodies[e.ID]; again {
		s.twice++
		if body != string(m.Data) {
			s.errs = append(s.errs, fmt.Errorf("event %s was received twice, with different documents", e.ID))
		}
	}
	s.bodies[e.ID] = string(m.Data)
}
