package playback_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
)

// BenchmarkBacktest applies a policy to a year of recorded evaluations: reports like the daemon's, which rise and fall
// around the bounds, with runs between them.
func BenchmarkBacktest(b *testing.B) {
	rec := recordOf(b, 50_000, 10*time.Minute)
	p := compile(b, config(b), zone(b, "Europe/Berlin"))
	o := playback.BacktestOptions{Needs: hour, Took: hour, Floor: 0.85}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if got := playback.RunBacktest(p, rec, o); got.Now.Retrains == 0 {
			b.Fatal("no retrain in it")
		}
	}
	all := float64(len(rec.Reports)) * float64(b.N)
	b.ReportMetric(all/b.Elapsed().Seconds(), "evaluations/s")
	b.ReportMetric(all/(cpuTime(b)-before).Seconds(), "evaluations/core-s") // not affected by other load on the machine
}

// recordOf returns a record of n evaluations: most of them with good figures, some after label corrections, and a
// promotion each month.
func recordOf(t testing.TB, n int, every time.Duration) *playback.Record {
	rec := &playback.Record{}
	random := rand.New(rand.NewPCG(1, 2))
	at, bad, promoted := noon(t).AddDate(-1, 0, 0), 0, noon(t).AddDate(-1, 0, 0)
	release := 0
	for i := range n {
		switch {
		case at.Sub(promoted) > 30*day:
			release, bad, promoted = release+1, 0, at
			run := playback.RecordedRun{RunFact: policy.RunFact{
				ID: fmt.Sprintf("r%02d", release), Started: at,
				Ended: at.Add(hour), Outcome: policy.OutcomePromoted,
			}, GPU: hour / 2}
			rec.Runs = append(rec.Runs, run)
		case random.IntN(200) == 0:
			bad = max(0, bad+random.IntN(9)-3)
		}
		r := wrong(healthy(t), min(bad, 60))
		r.At, r.Seq, r.Release = at, int64(i/4), fmt.Sprintf("sha256:%02d", release)
		r.Baseline.At = promoted
		r.Labels.Changed = 40 + bad
		rec.Reports = append(rec.Reports, r)
		at = at.Add(every)
	}
	return rec
}
