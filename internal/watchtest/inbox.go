// Package watchtest provides an in-memory Inbox for the tests of label sources.
//
// An Inbox stores the events that it has taken, their keys, and the marks. It is safe for concurrent use and never
// writes to disk. The package is never linked into the program.
package watchtest

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// Inbox is a watch.Inbox in memory. It ignores events with a known key, as the daemon's inbox does, and applies none of
// its other rules.
type Inbox struct {
	mu     sync.Mutex // guards the fields below
	marks  map[string]string
	events []watch.Event
	seen   map[string]bool
	fail   error  // returned by Take unless it is nil
	Poison string // id of an item: Take refuses every batch with an event about it; set before the first Take
}

// NewInbox returns an empty Inbox.
func NewInbox() *Inbox { return &Inbox{marks: map[string]string{}, seen: map[string]bool{}} }

// Marks implements watch.Inbox.
func (m *Inbox) Marks(context.Context, string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.marks), nil
}

// Take implements watch.Inbox.
func (m *Inbox) Take(_ context.Context, b watch.Batch) (r watch.Receipt, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return r, m.fail
	}
	for _, e := range b.Events {
		if m.Poison != "" && e.Item == m.Poison {
			return r, fmt.Errorf("item %s breaks a rule", e.Item)
		}
	}
	for from := range b.Renamed {
		delete(m.marks, from)
	}
	for _, e := range b.Events {
		if e.Key != "" && m.seen[e.Key] {
			r.Known++
			continue
		}
		m.seen[e.Key] = true
		r.Taken++
		m.events = append(m.events, e)
	}
	for name, position := range b.Marks {
		if position == "" {
			delete(m.marks, name)
		} else {
			m.marks[name] = position
		}
	}
	return r, nil
}

// SetFail makes Take fail with err, or succeed again if err is nil.
func (m *Inbox) SetFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Events returns the events that were taken so far.
func (m *Inbox) Events() []watch.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]watch.Event(nil), m.events...)
}

// Labels returns "item=label" for each event so far, in order.
func (m *Inbox) Labels() []string {
	var out []string
	for _, e := range m.Events() {
		what := e.Labels["label"]
		if e.Delete {
			what = "deleted"
		}
		out = append(out, e.Item+"="+what)
	}
	return out
}

// OneTarget returns the targets of a model that has one target.
func OneTarget() []serving.Target { return []serving.Target{{Name: "label"}} }

// Line returns a line of a label file.
func Line(id any, label string) string {
	return fmt.Sprintf(`{"id": "%v", "label": %q}`+"\n", id, label)
}
