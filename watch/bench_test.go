package watch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

// field is a cluster whose commits take a millisecond, as on a disk, with tables of 100,000 rows of about 1 kB: plain
// without a trigger, items under capture, loud with a row-level pg_notify as people write it.
type field struct {
	cluster *pgcluster.Cluster
	cfg     *Postgres
	conn    *pgx.Conn
}

const fieldRows = 100_000

func newField(b *testing.B, delay string) *field {
	b.Helper()
	cluster := pgtest.Cluster(b, pgcluster.Options{Fsync: true, Settings: map[string]string{
		"commit_delay": delay, "commit_siblings": "0", "shared_buffers": "256MB", "max_wal_size": "2GB", "checkpoint_timeout": "1h",
	}})
	f := &field{cluster: cluster, cfg: itemsConfig(cluster.DSN("postgres"))}
	f.cfg.Author = ""
	var err error
	if f.conn, err = pgx.Connect(context.Background(), f.cfg.DSN); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.conn.Close(context.Background()) })
	for _, table := range []string{"plain", "items", "loud"} {
		f.exec(b, fmt.Sprintf(`CREATE TABLE %[1]s (id int PRIMARY KEY, title text, content text, category text, updated_at timestamptz DEFAULT now(), views int DEFAULT 0) WITH (fillfactor = 50);
			INSERT INTO %[1]s SELECT g, 'title ' || g, repeat('lorem ipsum ', 80), 'c' || g %% 20, now(), 0 FROM generate_series(1, %[2]d) g; VACUUM ANALYZE %[1]s`, table, fieldRows))
	}
	migration, err := Migration("m", f.cfg)
	if err != nil {
		b.Fatal(err)
	}
	f.exec(b, migration)
	f.exec(b, `CREATE FUNCTION ring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('labels', NEW.id::text); RETURN NULL; END $$;
		CREATE TRIGGER ring AFTER UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION ring()`)
	return f
}

func (f *field) exec(b *testing.B, sql string) {
	b.Helper()
	for _, statement := range splitVacuum(sql) {
		if _, err := f.conn.PgConn().Exec(context.Background(), statement).ReadAll(); err != nil {
			b.Fatal(err)
		}
	}
}

// splitVacuum takes a VACUUM out of a list of statements: it may not stand in a transaction.
func splitVacuum(sql string) []string {
	at := regexp.MustCompile(`VACUUM[^;]*$`).FindStringIndex(sql)
	if at == nil {
		return []string{sql}
	}
	return []string{sql[:at[0]], sql[at[0]:]}
}

// tally is a Sink that only counts.
type tally struct {
	cursor string
	n      atomic.Int64
	at     chan time.Time // when the last batch was stored; nil tells nobody
}

// Cursor implements Sink.
func (c *tally) Cursor(context.Context, string) (string, error) { return c.cursor, nil }

// Append implements Sink.
func (c *tally) Append(_ context.Context, _ string, changes []Change, cursor string) error {
	c.cursor = cursor
	c.n.Add(int64(len(changes)))
	if c.at != nil && len(changes) > 0 {
		select {
		case c.at <- time.Now():
		default:
		}
	}
	return nil
}

// Replace implements Sink.
func (c *tally) Replace(_ context.Context, _ string, items iter.Seq2[Item, error], cursor string) error {
	for _, err := range items {
		if err != nil {
			return err
		}
	}
	c.cursor = cursor
	return nil
}

// follow runs a source over the field until stop is called.
func (f *field) follow(b *testing.B, sink Sink) (stop func()) {
	b.Helper()
	source, err := NewPostgres("m", f.cfg, sink, nil, discard)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); !source.Health().Up; {
		if time.Now().After(deadline) {
			b.Fatal(source.Health().Error)
		}
		<-time.After(10 * time.Millisecond)
	}
	return func() { cancel(); <-ended }
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench runs one statement for a second and returns the transactions a second.
func (f *field) pgbench(b *testing.B, clients int, sql string) float64 {
	b.Helper()
	script := filepath.Join(b.TempDir(), "script")
	text := fmt.Sprintf("\\set id random(1, %d)\n\\set c random(1, 100000)\n%s;\n", fieldRows, sql)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(f.cluster.Bin(), "pgbench"), "-h", f.cluster.Dir(), "-U", "postgres", "-n", "-M", "prepared",
		"-c", strconv.Itoa(clients), "-j", "2", "-T", "1", "-f", script, "postgres")
	out, err := cmd.CombinedOutput()
	found := tpsLine.FindSubmatch(out)
	if err != nil || found == nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	tps, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return tps
}

// BenchmarkWriter compares what applications reach, side by side: in turn, second by second, the best second of each.
func BenchmarkWriter(b *testing.B) {
	f := newField(b, "1000")
	stop := f.follow(b, &tally{})
	defer stop()
	designs := []struct{ name, sql string }{
		{"label/none", "UPDATE plain SET category = 'c' || :c WHERE id = :id"},
		{"label/outbox", "UPDATE items SET category = 'c' || :c WHERE id = :id"},
		{"label/notify", "UPDATE loud SET category = 'c' || :c WHERE id = :id"},
		{"other/none", "UPDATE plain SET views = views + 1 WHERE id = :id"},
		{"other/outbox", "UPDATE items SET views = views + 1 WHERE id = :id"},
	}
	for _, clients := range []int{8, 32} {
		best := map[string]float64{}
		for range 3 {
			for _, d := range designs {
				best[d.name] = max(best[d.name], f.pgbench(b, clients, d.sql))
			}
		}
		for _, d := range designs {
			b.Run(fmt.Sprint(clients, "/", d.name), func(b *testing.B) {
				b.ReportMetric(best[d.name], "tx/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkBulk is one statement over all rows.
func BenchmarkBulk(b *testing.B) {
	f := newField(b, "0")
	stop := f.follow(b, &tally{})
	defer stop()
	best := map[string]time.Duration{}
	for i := range 3 {
		for _, table := range []string{"plain", "items"} {
			start := time.Now()
			f.exec(b, fmt.Sprintf(`UPDATE %s SET category = 'bulk%d' || id`, table, i))
			if took := time.Since(start); best[table] == 0 || took < best[table] {
				best[table] = took
			}
			f.exec(b, "VACUUM "+table)
		}
	}
	for table, name := range map[string]string{"plain": "none", "items": "outbox"} {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(best[table].Seconds(), "s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLatency is the time from a commit to the poke that follows the stored change, at 200 changes a second.
func BenchmarkLatency(b *testing.B) {
	f := newField(b, "0")
	sink := &tally{at: make(chan time.Time, 1)}
	stop := f.follow(b, sink)
	defer stop()
	var took []time.Duration
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range 600 {
		<-tick.C
		select {
		case <-sink.at:
		default:
		}
		before := sink.n.Load()
		f.exec(b, fmt.Sprintf(`UPDATE items SET category = 'l%d' WHERE id = %d`, i, 1+i))
		committed := time.Now()
		if sink.n.Load() > before {
			took = append(took, 0) // it was stored before the client heard of its own commit
			continue
		}
		took = append(took, (<-sink.at).Sub(committed))
	}
	slices.Sort(took)
	for name, share := range map[string]int{"p50": 50, "p99": 99} {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(float64(took[len(took)*share/100])/1e6, "ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBacklog reads what was written while nobody looked.
func BenchmarkBacklog(b *testing.B) {
	f := newField(b, "0")
	sink := &tally{}
	f.follow(b, sink)()
	f.exec(b, `UPDATE items SET category = 'backlog'`)
	f.exec(b, `UPDATE items SET category = 'again'`)
	read := sink.n.Load()
	start := time.Now()
	stop := f.follow(b, sink)
	defer stop()
	b.ReportMetric(float64(sink.n.Load()-read)/time.Since(start).Seconds(), "changes/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkExport streams the table, beside a bare binary COPY that drops what it reads.
func BenchmarkExport(b *testing.B) {
	f := newField(b, "0")
	best := map[string]float64{}
	for range 3 {
		start := time.Now()
		n := 0
		for _, err := range Export(context.Background(), "m", f.cfg) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		best["rows"] = max(best["rows"], float64(n)/time.Since(start).Seconds())
		start = time.Now()
		if _, err := f.conn.PgConn().CopyTo(context.Background(), io.Discard, "COPY (SELECT id, category, updated_at, title, content FROM items) TO STDOUT (FORMAT binary)"); err != nil {
			b.Fatal(err)
		}
		best["copy"] = max(best["copy"], float64(fieldRows)/time.Since(start).Seconds())
		if rate, ok := f.psycopg(); ok {
			best["psycopg"] = max(best["psycopg"], rate)
		}
	}
	for name, rate := range best {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(rate, "rows/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// psycopg is what people write today: a named cursor and json.dumps. It runs where the system's Python has the library.
func (f *field) psycopg() (rowsPerSecond float64, ok bool) {
	cmd := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf(`
import json, time, psycopg2
c = psycopg2.connect("host=%s user=postgres dbname=postgres").cursor("x"); t = time.time()
c.itersize = 2000
c.execute("SELECT id, category, updated_at, title, content FROM items")
with open("/dev/null", "w") as out:
    for r in c: out.write(json.dumps({"id": r[0], "label": r[1], "at": r[2].isoformat(), "title": r[3], "content": r[4]}) + "\n")
print(%d / (time.time() - t))`, f.cluster.Dir(), fieldRows))
	out, err := cmd.Output()
	if err != nil {
		return 0, false
	}
	rowsPerSecond, err = strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
	return rowsPerSecond, err == nil
}
