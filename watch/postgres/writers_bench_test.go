package postgres

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/watch"
)

// These benchmarks measure what a capture costs the application that writes. Each capture is compared with the same
// table without a capture, in turns of a second in one run, on clusters whose commits take a millisecond, as on a disk.

const benchRows = 100_000

// benched is one table under one capture; "none", "notify", "empty" and "least" are for comparison.
type benched struct {
	dsn  string
	sink *counting
}

// counting is a sink that stores nothing.
type counting struct {
	full    atomic.Bool
	changes atomic.Int64
	seen    func([]watch.Change)
}

func (c *counting) Cursor(context.Context, string) (string, error) { return "", nil }

func (c *counting) Append(_ context.Context, _ string, changes []watch.Change, _ string) error {
	c.changes.Add(int64(len(changes)))
	if c.seen != nil {
		c.seen(changes)
	}
	return nil
}

func (c *counting) Replace(_ context.Context, _ string, read watch.FullRead) error {
	for _, err := range read.Items {
		if err != nil {
			return err
		}
	}
	c.full.Store(true)
	return nil
}

// onDisk returns settings under which a commit takes a millisecond: the leader of a commit group waits, as for a disk.
func onDisk(level string) pgcluster.Options {
	return pgcluster.Options{
		Fsync: true,
		Settings: map[string]string{
			"wal_level": level, "commit_delay": "1000", "commit_siblings": "0", "max_wal_size": "2GB",
			"autovacuum": "off", "max_connections": "200",
		},
	}
}

// benchTables creates a table for each kind, with its capture installed and followed.
func benchTables(b *testing.B, rows int, options func(level string) pgcluster.Options,
	kinds ...string,
) map[string]*benched {
	b.Helper()
	clusters := map[string]*pgcluster.Cluster{}
	out := map[string]*benched{}
	for _, kind := range kinds {
		level := "replica"
		if kind == string(CaptureLogical) {
			level = "logical"
		}
		if clusters[level] == nil {
			clusters[level] = pgtest.Cluster(b, options(level))
		}
		exec := func(dsn, sql string) {
			conn, err := pgx.Connect(b.Context(), dsn)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close(b.Context())
			if _, err := conn.PgConn().Exec(b.Context(), sql).ReadAll(); err != nil {
				b.Fatal(err)
			}
		}
		exec(clusters[level].DSN("postgres"), "CREATE DATABASE "+kind)
		t := &benched{dsn: clusters[level].DSN(kind), sink: &counting{}}
		exec(t.dsn, fmt.Sprintf("%s; INSERT INTO items (id, title, content, category) SELECT g, 'title ' || g, repeat('word ', 40), 'c' FROM generate_series(1, %d) g; ANALYZE",
			itemsSQL, rows))
		out[kind] = t
		switch kind {
		case "none":
			continue
		case "notify":
			exec(t.dsn, `CREATE FUNCTION ring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('changes', NEW.id::text); RETURN NULL; END $$;
				CREATE TRIGGER ring AFTER UPDATE OF category ON items FOR EACH ROW EXECUTE FUNCTION ring()`)
			listen(b, t.dsn)
			continue
		case "empty": // the minimal cost of any trigger
			exec(t.dsn, `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
				CREATE TRIGGER nothing AFTER UPDATE OF category ON items FOR EACH ROW EXECUTE FUNCTION nothing()`)
			continue
		case "least": // the minimal cost of an outbox that a trigger writes; it has no reader
			exec(t.dsn, `CREATE TABLE outbox (item int, label text);
				CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO outbox VALUES (NEW.id, NEW.category); RETURN NULL; END $$;
				CREATE TRIGGER keep AFTER UPDATE OF category ON items FOR EACH ROW EXECUTE FUNCTION keep()`)
			continue
		}
		cfg := itemsConfig(t.dsn)
		cfg.Author, cfg.UpdatedAt, cfg.Capture = "", "", Capture(kind)
		migration, err := Migration("m", cfg)
		if err != nil {
			b.Fatal(err)
		}
		exec(t.dsn, migration)
		source, err := New("m", cfg, t.sink, nil, discard)
		if err != nil {
			b.Fatal(err)
		}
		follow(b, source.Run)
		for deadline := time.Now().Add(time.Minute); !t.sink.full.Load() ||
			!source.Health().Up; <-time.After(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				b.Fatal(source.Health().Error)
			}
		}
	}
	return out
}

// follow runs a function until the benchmark ends.
func follow(b *testing.B, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = run(ctx) })
	b.Cleanup(func() { cancel(); group.Wait() })
}

// listen receives the notifications of kind "notify", as a daemon that relies on them would.
func listen(b *testing.B, dsn string) {
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(b.Context(), "LISTEN changes"); err != nil {
		b.Fatal(err)
	}
	follow(b, func(ctx context.Context) error {
		for {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				return conn.Close(context.WithoutCancel(ctx))
			}
		}
	})
}

// clients are open connections that write as fast as they can.
type clients []*pgx.Conn

func connectClients(b *testing.B, dsn string, n int) clients {
	b.Helper()
	out := make(clients, n)
	for i := range out {
		var err error
		if out[i], err = pgx.Connect(b.Context(), dsn); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = out[i].Close(context.Background()) })
	}
	return out
}

// turn runs single-row updates for a while and returns transactions a second.
func (c clients) turn(b *testing.B, sql string, d time.Duration) float64 {
	b.Helper()
	var done atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(d)
	for _, conn := range c {
		group.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				if _, err := conn.Exec(b.Context(), sql, 1+rand.IntN(benchRows/10), strconv.Itoa(n)); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / d.Seconds()
}

// report prints the median of each capture's figures, as a separate benchmark.
func report(b *testing.B, figures map[string][]float64, name, unit string) {
	for kind, values := range figures {
		slices.Sort(values)
		b.Run(kind+name, func(b *testing.B) {
			b.ReportMetric(values[len(values)/2], unit)
			b.ReportMetric(0, "ns/op")
		})
	}
}

// writerTurns is the number of turns of each capture; the median is reported.
const writerTurns = 5

func writers(b *testing.B, n int, sql, name string, kinds ...string) {
	tables := benchTables(b, benchRows/10, onDisk, kinds...)
	figures := map[string][]float64{}
	all := map[string]clients{}
	for kind, t := range tables {
		all[kind] = connectClients(b, t.dsn, n)
		all[kind].turn(b, sql, 200*time.Millisecond) // prepares the statement and warms up
	}
	for range writerTurns {
		for _, kind := range kinds {
			figures[kind] = append(figures[kind], all[kind].turn(b, sql, time.Second))
		}
	}
	report(b, figures, name, "tx/s")
}

func BenchmarkWriters(b *testing.B) {
	for _, n := range []int{8, 32} {
		writers(b, n, `UPDATE items SET category = $2 WHERE id = $1`, fmt.Sprintf("/%d", n), "none", "notify", "empty",
			"least", string(CaptureOutbox), string(CaptureLogical))
	}
}

// BenchmarkWritersElsewhere updates a column that is not watched.
func BenchmarkWritersElsewhere(b *testing.B) {
	writers(b, 8, `UPDATE items SET views = views + length($2) WHERE id = $1`, "/8", "none", string(CaptureOutbox),
		string(CaptureLogical))
}

// BenchmarkStatement measures one statement over 100,000 rows.
func BenchmarkStatement(b *testing.B) {
	kinds := []string{"none", string(CaptureOutbox), string(CaptureLogical)}
	tables := benchTables(b, benchRows, onDisk, kinds...)
	figures := map[string][]float64{}
	for n := range 3 {
		for _, kind := range kinds {
			t := tables[kind]
			conn := connectClients(b, t.dsn, 1)[0]
			if _, err := conn.Exec(b.Context(), "VACUUM items"); err != nil {
				b.Fatal(err)
			}
			begun, before := time.Now(), t.sink.changes.Load()
			if _, err := conn.Exec(b.Context(), "UPDATE items SET category = $1", fmt.Sprint("c", n)); err != nil {
				b.Fatal(err)
			}
			figures[kind] = append(figures[kind], time.Since(begun).Seconds())
			// The changes must not be read during the next measurement.
			for kind != "none" && t.sink.changes.Load() < before+benchRows {
				<-time.After(10 * time.Millisecond)
			}
		}
	}
	report(b, figures, "", "s")
}

// BenchmarkCommitToChange measures the time from a commit until the sink has the change, at 200 changes a second.
func BenchmarkCommitToChange(b *testing.B) {
	kinds := []string{string(CaptureOutbox), string(CaptureLogical)}
	tables := benchTables(b, 1000, func(level string) pgcluster.Options {
		return pgcluster.Options{Settings: map[string]string{"wal_level": level}}
	}, kinds...)
	for _, kind := range kinds {
		var mu sync.Mutex
		var waits []float64
		sent := map[string]time.Time{}
		t := tables[kind]
		arrived := map[string]time.Time{}
		t.sink.seen = func(changes []watch.Change) {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range changes {
				arrived[c.New[DefaultTarget]] = time.Now()
			}
		}
		conn := connectClients(b, t.dsn, 1)[0]
		tick := time.NewTicker(5 * time.Millisecond)
		for n := range 1000 {
			<-tick.C
			label := fmt.Sprint("n", n)
			if _, err := conn.Exec(b.Context(), "UPDATE items SET category = $2 WHERE id = $1", 1+n%1000, label); err != nil {
				b.Fatal(err)
			}
			mu.Lock()
			sent[label] = time.Now()
			mu.Unlock()
		}
		tick.Stop()
		<-time.After(500 * time.Millisecond)
		mu.Lock()
		for label, at := range sent {
			waits = append(waits, max(0, float64(arrived[label].Sub(at).Microseconds())/1000))
		}
		if len(arrived) < len(sent) {
			b.Errorf("%s: %d of %d changes arrived", kind, len(arrived), len(sent))
		}
		mu.Unlock()
		slices.Sort(waits)
		for name, at := range map[string]int{"p50": len(waits) / 2, "p99": len(waits) * 99 / 100} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.ReportMetric(waits[at], "ms")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkMillion measures one statement over a million rows: the additional memory of the reader, and its reading
// speed.
func BenchmarkMillion(b *testing.B) {
	const rows = 1_000_000
	for _, kind := range []string{string(CaptureLogical), string(CaptureOutbox)} {
		t := benchTables(b, rows, func(level string) pgcluster.Options {
			return pgcluster.Options{Settings: map[string]string{"wal_level": level, "max_wal_size": "4GB", "autovacuum": "off"}}
		}, kind)[kind]
		conn := connectClients(b, t.dsn, 1)[0]
		debug.FreeOSMemory()
		before := resident(b)
		if _, err := conn.Exec(b.Context(), "UPDATE items SET category = 'million'"); err != nil {
			b.Fatal(err)
		}
		begun, most := time.Now(), before
		for t.sink.changes.Load() < rows {
			<-time.After(20 * time.Millisecond)
			most = max(most, resident(b))
		}
		took := time.Since(begun)
		b.Run(kind, func(b *testing.B) {
			b.ReportMetric(float64(most-before)/(1<<20), "MB")
			b.ReportMetric(rows/took.Seconds(), "changes/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// resident returns the memory of this process in bytes.
func resident(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(text)[1]))
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}
