package postgres

import (
	"runtime"
	"strings"
	"testing"
)

func TestExportIsOneInstant(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category, updated_at) SELECT g, 't' || g, 'c', '2026-01-02 03:04:05.678901+01' FROM generate_series(1, 5000) g`)
	seen := map[string]bool{}
	for it, err := range Export(t.Context(), "m", b.cfg) {
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			b.exec(`UPDATE items SET category = 'changed'`)
			b.exec(`DELETE FROM items WHERE id > 100`)
		}
		if it.Labels["label"] != "c" || it.Text["title"] != "t"+it.ID ||
			it.At.Format("2006-01-02T15:04:05.000000Z07:00") != "2026-01-02T02:04:05.678901Z" {
			t.Fatalf("row %+v", it)
		}
		if _, ok := it.Text["content"]; ok {
			t.Fatalf("a null text is present: %+v", it)
		}
		seen[it.ID] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d rows", len(seen))
	}
}

func TestExportStopsEarlyAndReportsFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title) SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`)
	for _, err := range Export(t.Context(), "m", b.cfg) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	b.sink.until(t, "the connection to end", func() bool {
		var open int
		if err := b.conn.QueryRow(t.Context(),
			`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'retraind' AND datname = current_database()`).
			Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0
	})
	b.cfg.Table = "missing"
	n := 0
	for _, err := range Export(t.Context(), "m", b.cfg) {
		if n++; err == nil || !strings.Contains(err.Error(), "lacks a table") {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d values of a failed export", n)
	}
}

// TestExportKeepsNothing reads 30 MB and measures the heap meanwhile. It is not parallel, because all tests share the
// heap.
func TestExportKeepsNothing(t *testing.T) {
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, content) SELECT g, repeat('x', 1000), repeat('y', 1000) FROM generate_series(1, 15000) g`)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, n := heap(), uint64(0), 0
	for _, err := range Export(t.Context(), "m", b.cfg) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%3000 == 0 {
			most = max(most, heap())
		}
	}
	if most > before+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, most)
	}
}
