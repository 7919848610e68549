package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Fault is a fault of the state directory that an operator can fix.
type Fault struct {
	Text    string // cause and cure, the same for every statement that fails with it
	Lasting bool   // does not go away by itself
	Err     error  // the database's error; may be nil
}

func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Text
	}
	return fmt.Sprintf("%v: %s", f.Err, f.Text)
}

func (f *Fault) Unwrap() error { return f.Err }

// settled is the time after which the success of any other write ends a write's fault. A success of the same write ends
// it at once.
const settled = time.Minute

// health is the condition of the state directory. On a full disk, small writes succeed while larger ones fail. If any
// success ended a fault, the condition would change with each statement; therefore only a success of the same write
// ends it at once.
type health struct {
	mu      sync.Mutex // guards the fields below
	failed  map[string]failure
	lasting string // a fault that does not go away by itself
	gone    string // why writes are refused while the database file is missing; else ""
}

type failure struct {
	text string
	at   time.Time
}

// note records the result of a write.
func (h *health) note(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fault, ok := faultOf(err)
	switch {
	case err == nil:
		delete(h.failed, name)
		for other, f := range h.failed {
			if time.Since(f.at) > settled {
				delete(h.failed, other)
			}
		}
	case !ok:
	case fault.Lasting:
		h.lasting = fault.Text
	default:
		if h.failed == nil {
			h.failed = map[string]failure{}
		}
		h.failed[name] = failure{fault.Text, time.Now()}
	}
}

// noteRead records a fault of a read if it is a lasting one.
func (h *health) noteRead(err error) {
	if fault, ok := faultOf(err); ok && fault.Lasting {
		h.note("", err)
	}
}

// Trouble returns the fault of the state directory in one sentence, "" if there is none.
func (s *Store) Trouble() string {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	texts := make([]string, 0, len(h.failed))
	for _, f := range h.failed {
		texts = append(texts, f.text)
	}
	text := h.gone
	switch {
	case text != "":
	case h.lasting != "":
		text = h.lasting
	case len(texts) > 0:
		text = slices.Min(texts)
	default:
		return ""
	}
	return fmt.Sprintf("state directory %s: %s", s.dir, text)
}

// Check checks that the database file is still where it was opened. While the file is missing or replaced, writes are
// refused, because they would go to a deleted file.
func (s *Store) Check() {
	info, err := os.Stat(filepath.Join(s.dir, "retraind.db"))
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone = ""; err != nil || !os.SameFile(info, s.file) {
		h.gone = "the database file was deleted or replaced while retraind runs: stop retraind, put the directory back from a backup (or leave it missing to start with an empty state), and start retraind"
	}
}

// writable returns an error while the database file is missing.
func (s *Store) writable() error {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	if s.health.gone == "" {
		return nil
	}
	return &Fault{Text: s.health.gone}
}
