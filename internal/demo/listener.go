package demo

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/notify"
)

// listener is an ordinary NATS subscriber.
type listener struct {
	conn *nats.Conn

	mu     sync.Mutex
	events []notify.Event // guarded by mu
	seen   map[string]bool
	told   func(notify.Event)
}

// listen subscribes to all events. It calls told once for each event, in order.
func listen(url, key string, told func(notify.Event)) (*listener, error) {
	identity, err := nats.NkeyOptionFromSeed(key)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(url, identity, nats.Name("demo subscriber"), nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn, seen: map[string]bool{}, told: told}
	_, err = conn.Subscribe("retraind.evt.v1.>", l.receive)
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *listener) receive(m *nats.Msg) {
	e, err := notify.Decode(m.Data)
	if err != nil {
		return // sent by a newer retraind or by another program
	}
	l.mu.Lock()
	again := l.seen[e.ID] // at-least-once delivery: duplicates have the same id
	l.seen[e.ID] = true
	if !again {
		l.events = append(l.events, e)
	}
	l.mu.Unlock()
	if !again {
		l.told(e)
	}
}

// received returns the events so far.
func (l *listener) received() []notify.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]notify.Event(nil), l.events...)
}

func (l *listener) close() { l.conn.Close() }
