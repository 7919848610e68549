package postgres

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	began := time.Now().Truncate(time.Microsecond)
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items VALUES (1, 'a', 'x', 'sport', '2026-01-02 03:04:05+00', 'anna'), (2, 'b', NULL, NULL, now(), NULL)`)
	_, stop := b.start()
	b.ready()
	if got := b.sink.log(); len(got) != 0 {
		t.Errorf("what the whole table held came again: %+v", got)
	}
	b.exec(`UPDATE items SET category = 'politik', updated_by = 'bert' WHERE id = 1`)
	b.exec(`UPDATE items SET title = 'bb' WHERE id = 2`)
	b.exec(`DELETE FROM items WHERE id = 1`)
	b.exec(`INSERT INTO items (id, title, category) VALUES (3, 'c', 'kultur')`)
	b.sink.until(t, "four changes", func() bool { return len(b.sink.changes) == 4 })
	stop()
	want := []watch.Change{
		{
			Op: watch.OpLabel, Item: "1", Old: watch.Labels{"label": "sport"}, New: watch.Labels{"label": "politik"},
			Author: "bert",
		},
		{
			Op: watch.OpPut, Item: "2", Text: map[string]string{"title": "bb"}, Old: watch.Labels{}, New: watch.Labels{},
			Author: "postgres",
		},
		{Op: watch.OpDelete, Item: "1", Old: watch.Labels{"label": "politik"}, Author: "postgres"},
		{
			Op: watch.OpPut, Item: "3", Text: map[string]string{"title": "c"}, New: watch.Labels{"label": "kultur"},
			Author: "postgres",
		},
	}
	got := b.sink.log()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(watch.Change{}, "Key", "At")); diff != "" {
		t.Error(diff)
	}
	for _, c := range got {
		if c.At.Before(began) || c.At.After(time.Now()) {
			t.Errorf("change %s was made at %s", c.Key, c.At)
		}
	}
	b.sink.equalsTable(t, "m", b.cfg)
}

func TestRestartReadsOnFromTheCursor(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	for i := range 5 {
		_, stop := b.start()
		b.ready()
		b.exec(`INSERT INTO items (id, category) VALUES ($1, 'while up')`, 2*i)
		b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 2*i+1 })
		stop()
		b.exec(`INSERT INTO items (id, category) VALUES ($1, 'while down')`, 2*i+1)
		_, stop = b.start()
		b.sink.until(t, "the change made while down", func() bool { return len(b.sink.changes) == 2*i+2 })
		stop()
	}
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

func TestLostPositionReadsTheTableAgain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*bundle, *position){
		"another cluster":  func(_ *bundle, p *position) { p.System = "1" },
		"another timeline": func(_ *bundle, p *position) { p.Timeline++ },
		"server is behind": func(_ *bundle, p *position) { p.Last.XID = 99999999 },
		"a crash":          func(_ *bundle, p *position) { p.Statistics-- },
		"another outbox":   func(_ *bundle, p *position) { p.Outbox++ },
		"other labels":     func(_ *bundle, p *position) { p.Definition = "x" },
		"pruned": func(b *bundle, p *position) {
			b.exec(`SELECT retraind.m_prune(pg_current_xact_id(), now() + '1h')`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, itemsSQL, itemsConfig)
			_, stop := b.start()
			b.ready()
			b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
			b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
			stop()
			b.exec(`UPDATE items SET category = 'y'`)
			at, err := parsePosition(b.sink.cursor)
			if err != nil {
				t.Fatal(err)
			}
			spoil(b, &at)
			b.sink.cursor = at.String()
			b.start()
			b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
			b.sink.equalsTable(t, "m", b.cfg)
		})
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(1, 100) g`)
	b.start()
	b.ready()
	b.exec(`BEGIN`)
	b.exec(`UPDATE items SET category = 'y' WHERE id = 5`)
	b.exec(`TRUNCATE items`)
	b.exec(`INSERT INTO items (id, category) VALUES (7, 'z')`)
	b.exec(`COMMIT`)
	b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
	b.sink.equalsTable(t, "m", b.cfg)
	if n := len(b.sink.snapshot()); n != 1 {
		t.Errorf("%d items after the truncate", n)
	}
	b.exec(`UPDATE items SET category = 'after'`)
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestEarlierTransactionCommitsLater keeps a transaction open while a later one commits. Reading by sequence number
// would skip the row of the open transaction for ever.
func TestEarlierTransactionCommitsLater(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.start()
	b.ready()
	slow := connect(t, b.cfg.DSN)
	tx, err := slow.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO items (id, category) VALUES (1, 'slow')`); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO items (id, category) VALUES (2, 'quick')`)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sink.until(t, "both changes", func() bool { return len(b.sink.changes) == 2 })
}

// TestInterleavings lets three sessions begin, write and end transactions in random order.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c0' FROM generate_series(1, 40) g`)
	b.start()
	b.ready()
	random := rand.New(rand.NewPCG(1, 2))
	conns := []*pgx.Conn{connect(t, b.cfg.DSN), connect(t, b.cfg.DSN), connect(t, b.cfg.DSN)}
	open := make([]pgx.Tx, len(conns))
	end := func(i int) {
		var err error
		if random.IntN(5) == 0 {
			err = open[i].Rollback(t.Context())
		} else {
			err = open[i].Commit(t.Context())
		}
		if open[i] = nil; err != nil {
			t.Fatal(err)
		}
	}
	for n := range long(200, 1000) * 5 {
		i := random.IntN(len(conns))
		if open[i] == nil {
			tx, err := conns[i].Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			open[i] = tx
		} else if random.IntN(3) == 0 {
			end(i)
			continue
		}
		// Each session uses different rows, so that sessions never wait for each other.
		id := 3*random.IntN(12) + i + 1
		sql := []string{
			`UPDATE items SET category = $2 WHERE id = $1`, `UPDATE items SET title = $2 WHERE id = $1`,
			`INSERT INTO items (id, category) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET category = excluded.category`,
			`DELETE FROM items WHERE id = $1 AND $2 <> ''`, `UPDATE items SET views = views + length($2) WHERE id = $1`,
		}[random.IntN(5)]
		if _, err := open[i].Exec(t.Context(), sql, id, fmt.Sprint("c", n)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range open {
		if open[i] != nil {
			end(i)
		}
	}
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

// write makes random changes on several connections until stop is closed or each has made n. Connection errors are
// ignored, because servers are killed.
func write(t *testing.T, dsn string, sessions, n int, stop <-chan struct{}) *sync.WaitGroup {
	var group sync.WaitGroup
	for w := range sessions {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			var conn *pgx.Conn
			for i := 0; i < n; i++ {
				select {
				case <-stop:
					i = n
					continue
				default:
				}
				if conn == nil || conn.IsClosed() {
					var err error
					if conn, err = pgx.Connect(t.Context(), dsn); err != nil {
						conn = nil
						<-time.After(10 * time.Millisecond)
						i--
						continue
					}
				}
				id := 1 + random.IntN(60)
				sql := []string{
					`UPDATE items SET category = $2 WHERE id = $1`, `UPDATE items SET title = $2 WHERE id = $1`,
					`INSERT INTO items (id, title, category) VALUES ($1, 'new', $2) ON CONFLICT (id) DO UPDATE SET category = excluded.category`,
					`DELETE FROM items WHERE id = $1 AND $2 <> ''`,
				}[random.IntN(4)]
				if _, err := conn.Exec(t.Context(), sql, id, fmt.Sprint(w, ":", i)); err != nil && !conn.IsClosed() {
					t.Error(err)
				}
			}
			if conn != nil && !conn.IsClosed() {
				if err := conn.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return &group
}

func TestWholeTableWhileOthersWrite(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 3000) g`)
	stop := make(chan struct{})
	writers := write(t, b.cfg.DSN, 4, 1e6, stop)
	for round := range 8 {
		b.sink.mu.Lock()
		b.sink.cursor = "" // the next start reads everything
		b.sink.mu.Unlock()
		_, end := b.start()
		b.sink.until(t, "the whole table and changes after it",
			func() bool { return b.sink.full == round+1 && len(b.sink.changes) >= 100*(round+1) })
		if round < 7 {
			end()
			// The same row may arrive again after everything was read again.
			b.sink.mu.Lock()
			clear(b.sink.keys)
			b.sink.mu.Unlock()
		}
	}
	close(stop)
	writers.Wait()
	b.sink.equalsTable(t, "m", b.cfg)
}

func TestBackendKilledWhileOthersWrite(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.start()
	b.ready()
	stop := make(chan struct{})
	writers := write(t, b.cfg.DSN, 3, 1e6, stop)
	for kill := range long(15, 50) {
		b.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'retraind' AND datname = current_database()`)
		b.sink.until(t, "changes after the kill", func() bool { return len(b.sink.changes) > 40*kill+40 })
	}
	close(stop)
	writers.Wait()
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}
