package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Fault is a fault of the state directory that an operator can mend.
type Fault struct {
	Text    string // cause and cure, the same for every statement that meets it
	Lasting bool   // it does not go by itself
	Err     error  // what the database said; may be nil
}

func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Text
	}
	return fmt.Sprintf("%v: %s", f.Err, f.Text)
}

func (f *Fault) Unwrap() error { return f.Err }

// settled is how long a fault of one kind of write is remembered after it was last seen, while others succeed.
const settled = time.Minute

// health is what is wrong with the state directory. On a full disk small writes succeed while larger ones fail: a fault
// ends when the write that met it succeeds, so that the state does not change with each statement.
type health struct {
	mu      sync.Mutex // guards the rest
	failed  map[string]failure
	lasting string // a fault that does not go by itself
	gone    string // why nothing may be written: the directory is not there any more
}

type failure struct {
	text string
	at   time.Time
}

// note keeps what became of a write.
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

// noteRead keeps a fault that a read met.
func (h *health) noteRead(err error) {
	if fault, ok := faultOf(err); ok && fault.Lasting {
		h.note("", err)
	}
}

// Trouble says in one sentence what is wrong with the state directory, "" where nothing is.
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

// Check looks whether the database is still where it was opened. Until it is there again, nothing is written: it would go
// to a file that nobody finds any more.
func (s *Store) Check() {
	info, err := os.Stat(filepath.Join(s.dir, "retraind.db"))
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone = ""; err != nil || !os.SameFile(info, s.file) {
		h.gone = "it was deleted or replaced while retraind runs: stop retraind, put the directory back from a backup, or leave it away to begin anew, and start retraind"
	}
}

// writable refuses a write where the database is gone.
func (s *Store) writable() error {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	if s.health.gone == "" {
		return nil
	}
	return &Fault{Text: s.health.gone}
}
