package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
)

// stepper forwards everything, and calls a function right before one of the requests.
type stepper struct {
	back string

	mu     sync.Mutex
	from   string // a text in the first request that is counted
	left   int    // requests until happen is called; 0 if it will not be called
	happen func()
}

func (s *stepper) arm(from string, n int, happen func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from, s.left, s.happen = from, n, happen
}

func (s *stepper) request(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 || !bytes.Contains(text, []byte(s.from)) {
		return
	}
	s.from = ""
	if s.left--; s.left == 0 {
		s.happen()
	}
}

func (s *stepper) serve(front net.Conn) {
	back, err := net.Dial("unix", s.back)
	if err != nil {
		return
	}
	defer back.Close()
	go func() {
		_, _ = io.Copy(front, back)
		_ = front.Close()
	}()
	size := make([]byte, 4)
	if _, err := io.ReadFull(front, size); err != nil {
		return
	}
	whole := slices.Concat(size, make([]byte, binary.BigEndian.Uint32(size)-4))
	if _, err := io.ReadFull(front, whole[4:]); err != nil {
		return
	}
	for kind := byte(0); ; {
		if kind == 'Q' || kind == 'P' {
			s.request(whole)
		}
		if _, err := back.Write(whole); err != nil {
			return
		}
		if kind, whole, err = message(front); err != nil {
			return
		}
	}
}

// TestPartitionBetweenAnyTwoRequests attaches a partition with rows between any two requests of a source that reads the
// whole table: rows that neither the log nor the triggers report must be found by a read of the table.
func TestPartitionBetweenAnyTwoRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	table := strings.Replace(itemsSQL, "DEFAULT 0)",
		"DEFAULT 0) PARTITION BY RANGE (id); CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (10); CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (10) TO (20)",
		1) + ";" + touched
	// Counting starts with a request that contains this text; with capture: poll, with any request.
	from := map[Capture]string{CaptureOutbox: "begin isolation", CaptureLogical: "pg_partition_tree"}
	for _, capture := range captures {
		for n := range 12 {
			t.Run(fmt.Sprintf("%s/%d", capture, n+1), func(t *testing.T) {
				t.Parallel()
				b := l.setup(t, capture, table, itemsConfig)
				b.cfg.Poll = unit.Duration(20 * time.Millisecond)
				if capture == CapturePoll {
					b.cfg.Compare = unit.Duration(time.Hour) // which would find everything
				}
				direct := b.cfg.DSN
				s := &stepper{back: socket(hostOf(direct))}
				b.cfg.DSN = through(direct, listenIn(t, s.serve))
				b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'stays'), (11, 't', 'goes')`)
				source, stop := b.start()
				b.ready()
				b.sink.until(t, "health", func() bool { return source.Health().Up })
				happened := make(chan struct{})
				s.arm(from[capture], n+1, func() {
					defer close(happened)
					b.exec(`CREATE TABLE items_3 (LIKE items INCLUDING ALL)`)
					b.exec(`INSERT INTO items_3 (id, title, category, updated_at) VALUES (2000, 'came', 'along', '2020-01-01'), (2001, 'came', 'along', '2020-01-01')`)
					b.exec(`ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES FROM (1000) TO (3000)`)
					b.exec(`UPDATE items SET category = 'in' WHERE id = 2000`)
				})
				if capture == CaptureOutbox {
					b.otherExec(direct, `INSERT INTO retraind.m_outbox (op, item) VALUES ('reread', 'for a test')`)
				} else {
					b.otherExec(direct, `TRUNCATE items_2`)
				}
				select {
				case <-happened:
				case <-time.After(20 * time.Second):
					t.Fatalf("nothing was asked for: %+v", source.Health())
				}
				b.sink.equalsTable(t, "m", b.cfg)
				stop()
			})
		}
	}
}

func (b *bundle) otherExec(dsn, sql string) {
	b.t.Helper()
	if _, err := connect(b.t, dsn).Exec(b.t.Context(), sql); err != nil {
		b.t.Fatal(err)
	}
}
