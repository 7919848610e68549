package runner

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/retraind/retraind/internal/text"
)

// capped writes the head and the tail of a command's output to a file of limited size. It never blocks the command or
// makes it fail: output that does not fit, or cannot be written, is dropped.
type capped struct {
	mu      sync.Mutex
	f       *os.File
	head    int64 // bytes that the head can still take
	max     int   // size of the tail
	ring    []byte
	dropped int64
	written int64 // total bytes of output
	err     error
}

func newCapped(path string, limit int64) (*capped, error) {
	if limit <= 0 {
		limit = 64 << 20
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	tail := min(limit/2, 1<<20)
	return &capped{f: f, head: limit - tail, max: int(tail)}, nil
}

// Write implements io.Writer; it never fails.
func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	c.written += int64(n)
	if c.head > 0 {
		k := min(int64(len(p)), c.head)
		if _, err := c.f.Write(p[:k]); err != nil && c.err == nil {
			c.err = err
		}
		c.head -= k
		c.keep(p[:k], false)
		p = p[k:]
	}
	c.keep(p, true)
	return n, nil
}

// keep appends p to the ring, which contains at least the last max bytes of output. over means that p is not in the
// head of the file.
func (c *capped) keep(p []byte, over bool) {
	if over {
		c.dropped += int64(len(p))
	}
	c.ring = append(c.ring, p...)
	if len(c.ring) > 2*c.max {
		c.ring = append(c.ring[:0], c.ring[len(c.ring)-c.max:]...)
	}
}

func (c *capped) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.ring[max(0, len(c.ring)-4096):])
}

// end returns a copy of the last bytes of the output, up to the limit most, and the size of the whole output.
func (c *capped) end(most int) ([]byte, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.ring[max(0, len(c.ring)-most):]), c.written
}

// lastLine returns the last line that is not blank, without control characters.
func (c *capped) lastLine() string {
	lines := strings.Split(strings.TrimSpace(c.tail()), "\n")
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, lines[len(lines)-1])
	return text.Cut(line, 300)
}

// Close writes the tail, if the output was longer than its head, and closes the file.
func (c *capped) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped > 0 {
		tail := c.ring[max(0, len(c.ring)-c.max):]
		if int64(len(tail)) > c.dropped {
			tail = tail[int64(len(tail))-c.dropped:]
		}
		fmt.Fprintf(c.f, "\n[retraind: %d bytes omitted]\n", c.dropped-int64(len(tail)))
		if _, err := c.f.Write(tail); err != nil && c.err == nil {
			c.err = err
		}
	}
	if err := c.f.Close(); err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}
