package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/status"
)

// BenchmarkExport measures `retraind export` of rows of about 1 kB: read, split, hashed and written with their
// manifest. Its peers are a bare binary COPY that drops what it reads and, if the system's Python has psycopg2, a
// common script: a named cursor and json.dumps, without split and hashes. They run in turns, and the best result of
// each counts.
func BenchmarkExport(b *testing.B) {
	const rows = 100_000
	w := alone(b)
	w.dsn = manyRows(b, rows)
	w.write(w.config())
	loaded, err := w.load()
	if err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), w.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	best := map[string]float64{}
	export := func(name string) {
		start := time.Now()
		facts, err := offline.Export(b.Context(), loaded.File, model,
			offline.ExportOptions{Dir: filepath.Join(w.dir, "export")})
		if err != nil || facts.Items != rows {
			b.Fatalf("%d items, %v", facts.Items, err)
		}
		best[name] = max(best[name], rows/time.Since(start).Seconds())
	}
	for range 3 {
		export("ours")
		start := time.Now()
		if _, err := conn.PgConn().CopyTo(b.Context(), io.Discard,
			"COPY (SELECT id, category, content FROM items) TO STDOUT (FORMAT binary)"); err != nil {
			b.Fatal(err)
		}
		best["copy"] = max(best["copy"], rows/time.Since(start).Seconds())
		if rate, ok := psycopg(w.dsn, filepath.Join(w.dir, "python.jsonl"), rows); ok {
			best["psycopg"] = max(best["psycopg"], rate)
		}
	}
	w.known(rows)
	for range 3 {
		export("known")
	}
	for name, rate := range best {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(rate, "rows/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// known runs a daemon until it has read the table.
func (w *world) known(rows int) {
	w.t.Helper()
	w.sql(migration(w.t))
	r := w.start()
	r.model("the table to be read", func(m status.Model) bool { return m.Report != nil && m.Report.Labels.Items == rows })
	r.stop()
}

// BenchmarkExportMemory exports 1,000,000 rows of about 1 kB with the real binary. It reports the maximum of the
// process's resident memory, and of the part without the pages of the binary itself.
func BenchmarkExportMemory(b *testing.B) {
	const rows = 1_000_000
	w := alone(b)
	program := realProgram(b, w.dir)
	w.dsn = manyRows(b, rows)
	w.write(w.config())
	var resident, own float64 // MB
	for b.Loop() {
		cmd := exec.Command(program, "export", model, "-c", w.path(), "-o", filepath.Join(w.dir, "export"))
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case err := <-ended:
				if err != nil {
					b.Fatal(err)
				}
			case <-tick.C:
				resident, own = max(resident, memory(cmd.Process.Pid, "VmHWM")), max(own, memory(cmd.Process.Pid, "RssAnon"))
				continue
			}
			break
		}
	}
	b.ReportMetric(resident, "MB")
	b.ReportMetric(own, "own-MB")
}

// memory returns a value of a process's status in MB, or 0 once the process has ended.
func memory(pid int, name string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib * 1024 / 1e6
		}
	}
	return 0
}

// manyRows creates a database with a table of rows of about 1 kB.
func manyRows(b *testing.B, rows int) (dsn string) {
	return pgtest.Database(b, fmt.Sprintf(`create table items (id int primary key, content text, category text);
		insert into items select g, 'number ' || g || repeat(' lorem ipsum', 80), 'c' || g %% 20 from generate_series(1, %d) g`,
		rows))
}

// psycopg exports the rows with psycopg2 and returns the speed, or false if the library is missing.
func psycopg(dsn, out string, rows int) (rowsPerSecond float64, ok bool) {
	said, err := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf(`
import json, time, psycopg2
c = psycopg2.connect(%q).cursor("x"); t = time.time()
c.itersize = 2000
c.execute("SELECT id, category, content FROM items")
with open(%q, "w") as out:
    for r in c: out.write(json.dumps({"id": r[0], "label": r[1], "content": r[2]}) + "\n")
print(%d / (time.time() - t))`, dsn, out, rows)).Output()
	if err != nil {
		return 0, false
	}
	rowsPerSecond, err = strconv.ParseFloat(string(bytes.TrimSpace(said)), 64)
	return rowsPerSecond, err == nil
}
