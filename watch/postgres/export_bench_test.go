package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
)

// BenchmarkExport streams a table of 1 kB rows. For comparison it also runs a bare binary COPY that drops the data and,
// if the system's Python has psycopg2, a common script: a named cursor with json.dumps. They run in turns, and the best
// result of each is reported.
func BenchmarkExport(b *testing.B) {
	const rows = 100_000
	ctx := context.Background()
	dsn := pgtest.Database(b, `CREATE TABLE public.items (id int PRIMARY KEY, title text, content text, category text, updated_at timestamptz DEFAULT now())`)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `INSERT INTO items SELECT g, 'title ' || g, repeat('lorem ipsum ', 80), 'c' || g % 20, now() FROM generate_series(1, $1) g`,
		rows); err != nil {
		b.Fatal(err)
	}
	cfg := &Config{
		DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title", "content"}, Label: "category",
		UpdatedAt: "updated_at",
	}
	best := map[string]float64{}
	for range 3 {
		start := time.Now()
		for _, err := range Export(ctx, "m", cfg) {
			if err != nil {
				b.Fatal(err)
			}
		}
		best["rows"] = max(best["rows"], rows/time.Since(start).Seconds())
		start = time.Now()
		if _, err := conn.PgConn().CopyTo(ctx, io.Discard,
			"COPY (SELECT id, category, updated_at, title, content FROM items) TO STDOUT (FORMAT binary)"); err != nil {
			b.Fatal(err)
		}
		best["copy"] = max(best["copy"], rows/time.Since(start).Seconds())
		if rate, ok := psycopg(dsn, rows); ok {
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

// psycopg runs a script that exports the table with psycopg2, and returns its speed. It returns false if the script
// fails, for example because the library is missing.
func psycopg(dsn string, rows int) (rowsPerSecond float64, ok bool) {
	out, err := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf(`
import json, time, psycopg2
c = psycopg2.connect(%q).cursor("x"); t = time.time()
c.itersize = 2000
c.execute("SELECT id, category, updated_at, title, content FROM items")
with open("/dev/null", "w") as out:
    for r in c: out.write(json.dumps({"id": r[0], "label": r[1], "at": r[2].isoformat(), "title": r[3], "content": r[4]}) + "\n")
print(%d / (time.time() - t))`, dsn, rows)).Output()
	if err != nil {
		return 0, false
	}
	rowsPerSecond, err = strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
	return rowsPerSecond, err == nil
}
