package postgres

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/internal/unit"
)

// TestFloorPassesNothing simulates transactions that draw their watermark, begin to write and commit at any time, with
// polls in between. The floor never passes a row whose transaction began to write within overlap of its watermark,
// however long it stayed open.
func TestFloorPassesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const overlap = 10 * time.Second
		type transaction struct {
			watermark int64 // microseconds
			xid       uint64
			drawn     time.Time
			row       int
		}
		now := time.Unix(1_800_000_000, 0)
		next := uint64(100)
		var waiting, writing []transaction // with a watermark but nothing written yet; with writes
		committed := map[int]transaction{}
		read := map[int]bool{}
		m := pollPosition{Snapshot: "100:100:"}
		look := func() {
			s := snapshot{oldest: next, next: next}
			for _, w := range writing {
				s.oldest = min(s.oldest, w.xid)
			}
			var greatest *string
			top := int64(-1)
			last, err := parseSnapshot(m.Snapshot)
			if err != nil {
				t.Fatal(err)
			}
			for row, c := range committed {
				if floor, _ := strconv.ParseInt(floorOf(m), 10, 64); c.watermark > floor && c.xid >= last.oldest {
					read[row] = true
				}
				if top = max(top, c.watermark); top >= 0 {
					text := fmt.Sprint(top)
					greatest = &text
				}
			}
			text := fmt.Sprintf("%d:%d:", s.oldest, s.next)
			m = m.seen(s, text, now, greatest, overlap)
			if len(m.Pending) > maxPending {
				t.Fatalf("%d pending marks", len(m.Pending))
			}
		}
		rows := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond)
			// A transaction that has waited for nearly as long as overlap begins to write now.
			for i := 0; i < len(waiting); i++ {
				if now.Sub(waiting[i].drawn) > overlap-4*time.Second {
					waiting[i].xid = next
					next++
					writing = append(writing, waiting[i])
					waiting = append(waiting[:i], waiting[i+1:]...)
					i--
				}
			}
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				rows++
				waiting = append(waiting, transaction{watermark: now.UnixMicro(), drawn: now, row: rows})
			case 1:
				if len(waiting) > 0 {
					i := rapid.IntRange(0, len(waiting)-1).Draw(t, "begins")
					waiting[i].xid = next
					next++
					writing = append(writing, waiting[i])
					waiting = append(waiting[:i], waiting[i+1:]...)
				}
			case 2:
				if len(writing) > 0 {
					i := rapid.IntRange(0, len(writing)-1).Draw(t, "commits")
					committed[writing[i].row] = writing[i]
					writing = append(writing[:i], writing[i+1:]...)
				}
			default:
				look()
			}
		}
		look()
		for row, c := range committed {
			if !read[row] {
				t.Fatalf("row %d with watermark %d was never read: %+v", row, c.watermark, m)
			}
		}
	})
}

func floorOf(m pollPosition) string {
	if m.Floor == nil {
		return "0"
	}
	return *m.Floor
}

// TestPollSeesLateCommits keeps a transaction open over many polls and later watermarks.
func TestPollSeesLateCommits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CapturePoll, itemsSQL+";"+touched, itemsConfig)
	b.cfg.Compare = unit.Duration(time.Hour)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'first')`)
	_, stop := b.start()
	b.ready()
	slow, err := connect(t, b.cfg.DSN).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), `UPDATE items SET category = 'late' WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b.exec(`INSERT INTO items (id, title, category) VALUES ($1, 't', 'x')`, 10+i)
		b.sink.until(t, "the later row", func() bool { return len(b.sink.items) == i+2 })
		if i%5 == 4 {
			stop()
			_, stop = b.start()
		}
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sink.until(t, "the late commit", func() bool { return b.sink.items["1"].Labels["label"] == "late" })
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

// TestPollIsBlind pins the documented limitations of capture: poll, and that the full compare finds these changes.
func TestPollIsBlind(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CapturePoll, itemsSQL, itemsConfig) // nothing touches updated_at
	b.cfg.Compare = unit.Duration(2 * time.Second)
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'x' FROM generate_series(1, 3) g`)
	b.start()
	b.ready()
	b.sink.until(t, "the floor", func() bool {
		m, err := parsePollPosition(b.sink.cursor)
		return err == nil && m.Floor != nil && len(m.Pending) == 0
	})
	b.exec(`DELETE FROM items WHERE id = 1`)
	b.exec(`UPDATE items SET category = 'untouched' WHERE id = 2`)
	b.exec(`UPDATE items SET category = 'touched', updated_at = clock_timestamp() WHERE id = 3`)
	b.sink.until(t, "the touched row", func() bool { return b.sink.items["3"].Labels["label"] == "touched" })
	if items := b.sink.snapshot(); b.sink.fullReads() == 1 && (items["1"].ID == "" || items["2"].Labels["label"] != "x") {
		t.Errorf("seen without a compare: %v", items)
	}
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.fullReads() < 2 {
		t.Error("no compare was made")
	}
}

// TestPollAView follows a view, which neither triggers nor the log can.
func TestPollAView(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CapturePoll, itemsSQL+";"+touched+
		`; CREATE VIEW seen AS SELECT id, title, content, upper(category) AS category, updated_by, updated_at FROM items WHERE views = 0`,
		func(dsn string) *Config {
			cfg := itemsConfig(dsn)
			cfg.Table = "seen"
			return cfg
		})
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'x' FROM generate_series(1, 30) g`)
	b.start()
	b.ready()
	b.exec(`UPDATE items SET category = 'y' WHERE id < 10`)
	b.exec(`UPDATE items SET views = 1 WHERE id = 20`)
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestInterleavingsOfCaptures lets sessions begin, write and end in random order; every capture ends with the contents
// of the table.
func TestInterleavingsOfCaptures(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, capture := range []Capture{CaptureLogical, CapturePoll} {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, capture, itemsSQL+";"+touched, itemsConfig)
			if capture == CapturePoll {
				b.cfg.Compare = unit.Duration(time.Hour)
			}
			b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c0' FROM generate_series(1, 40) g`)
			b.start()
			b.ready()
			random := rand.New(rand.NewPCG(1, 2))
			conns := []*pgx.Conn{connect(t, b.cfg.DSN), connect(t, b.cfg.DSN), connect(t, b.cfg.DSN)}
			open := make([]pgx.Tx, len(conns))
			for n := range 1000 {
				i := random.IntN(len(conns))
				var err error
				switch {
				case open[i] == nil:
					open[i], err = conns[i].Begin(t.Context())
				case random.IntN(12) == 0:
					err = open[i].Rollback(t.Context())
					open[i] = nil
				case random.IntN(3) == 0:
					err = open[i].Commit(t.Context())
					open[i] = nil
				default:
					id := 3*random.IntN(12) + i + 1 // each session has different rows, so that none waits for another
					sql := []string{
						`UPDATE items SET category = $2 WHERE id = $1`, `UPDATE items SET title = $2 WHERE id = $1`,
						`INSERT INTO items (id, category) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET category = excluded.category`,
						`UPDATE items SET views = views + length($2) WHERE id = $1`, `DELETE FROM items WHERE id = $1 AND $2 <> ''`,
					}[random.IntN(map[Capture]int{CaptureLogical: 5, CapturePoll: 4}[capture])]
					_, err = open[i].Exec(t.Context(), sql, id, fmt.Sprint("c", n))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			for i := range open {
				if open[i] != nil {
					if err := open[i].Commit(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			b.sink.equalsTable(t, "m", b.cfg)
			if b.sink.full != 1 {
				t.Errorf("the whole table was read %d times", b.sink.full)
			}
		})
	}
}
