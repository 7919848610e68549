package daemon_test

import (
	"testing"
	"time"

	"github.com/retraind/retraind/status"
)

// BenchmarkBacklog measures how fast a daemon processes a backlog until a decision includes all of it: the first read
// of a whole table, and a change of each label, through the outbox, the store and the monitor.
func BenchmarkBacklog(b *testing.B) {
	const rows = 200_000
	w := alone(b)
	w.hours = closed()
	w.evaluate = "{every: 1h, min_items: 10}"
	w.dsn = manyRows(b, rows)
	w.sql(migration(b))
	knows := func(name string, seq int64) {
		start := time.Now()
		r := w.start()
		r.model("everything to be known", func(m status.Model) bool { return m.Report != nil && m.Report.Seq >= seq })
		rate := rows / time.Since(start).Seconds()
		r.stop()
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(rate, "changes/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	knows("table", rows)
	w.sql("update items set category = 'c' || (id + 1) % 20")
	knows("outbox", 2*rows)
}
