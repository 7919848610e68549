package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
)

// BenchmarkCommitToDecision measures the time from the commit of a corrected label until a stored decision includes
// it, at 200 changes a second and without a debounce: through the triggers, the notification, the store, the monitor,
// the policy, and the store again.
func BenchmarkCommitToDecision(b *testing.B) {
	const changes = 600
	w := setup(b)
	w.hours = closed()
	w.evaluate = "{every: 1h, after_changes: 0, debounce: 0s, max_wait: 0s, min_items: 10}"
	r := w.start()
	r.force <- struct{}{}
	r.first()
	conn, err := pgx.Connect(b.Context(), w.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	before := r.model("the table to be read",
		func(m status.Model) bool { return m.Report != nil && m.Sources[0].Up }).Report.Seq
	decided := make(chan time.Time, changes) // times of the decisions, for each change in order
	ctx, stop := context.WithTimeout(b.Context(), time.Minute)
	defer stop()
	events := r.Subscribe(ctx)
	go func() {
		defer close(decided)
		for e := range events {
			var labels notify.Labels
			if e.Kind != string(notify.LabelsReceived) || json.Unmarshal(e.Data, &labels) != nil {
				continue
			}
			for now := time.Now(); before < labels.Watermark; before++ {
				decided <- now
			}
		}
	}()
	committed := make([]time.Time, changes)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := range committed {
		<-tick.C
		if _, err := conn.Exec(b.Context(),
			"update items set category = case category when 'sport' then 'geld' else 'sport' end where id = $1",
			fmt.Sprint(n%items)); err != nil {
			b.Fatal(err)
		}
		committed[n] = time.Now()
	}
	waits := make([]float64, 0, changes)
	for _, at := range committed {
		seen, ok := <-decided
		if !ok {
			b.Fatalf("%d of %d changes were decided on", len(waits), changes)
		}
		waits = append(waits, max(0, float64(seen.Sub(at).Microseconds())/1000))
	}
	slices.Sort(waits)
	for name, at := range map[string]int{"p50": changes / 2, "p99": changes * 99 / 100} {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(waits[at], "ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
