// Package progress reads the progress of a command: from the file that the command writes, or from its output.
//
// It owns the pattern of a step (the usual lines of trainers, or a user's expression), the Tracker that follows the
// output, and the file in which a supervisor stores the Tracker's result. Work and memory are limited, whatever a
// command writes or prints. A Tracker is for one goroutine.
package progress

import (
	"encoding/json"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/internal/text"
)

// Progress is the progress of a command.
type Progress struct {
	// Share is the completed share, from 0 to 1; nil if only the text is known.
	Share *float64 `json:"share,omitempty"`
	Text  string   `json:"text,omitempty"`
	// Left is the remaining time as printed by the command, at the time At; 0 if unknown.
	Left time.Duration `json:"left,omitempty"`
	At   time.Time     `json:"at,omitzero"`
}

// Same reports whether p and q are equal apart from At.
func (p Progress) Same(q Progress) bool {
	if (p.Share == nil) != (q.Share == nil) || p.Share != nil && *p.Share != *q.Share {
		return false
	}
	return p.Text == q.Text && p.Left == q.Left
}

// Write writes p to a file, atomically but not durably.
func Write(path string, p Progress) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, b, 0o600)
}

// Read returns the progress of a command from the file that the command writes, or else from the file in which its
// supervisor stores the progress found in the output. It reports false if neither has one.
func Read(own, printed string) (Progress, bool) {
	if p, ok := readFile(own); ok {
		return p, true
	}
	b, err := readEnd(printed)
	if err != nil {
		return Progress{}, false
	}
	var p Progress
	if json.Unmarshal(b, &p) != nil || p.Share == nil && p.Text == "" {
		return Progress{}, false
	}
	if p.Share != nil && !(*p.Share >= 0 && *p.Share <= 1) {
		p.Share = nil
	}
	p.Text = text.OneLine(p.Text, shown)
	return p, true
}

// readEnd reads the last bytes of a regular file, at most Tail.
func readEnd(path string) ([]byte, error) {
	// Non-blocking, because the command may have created a FIFO: without a writer it would block the reader.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-Tail), Tail))
}
