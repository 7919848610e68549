package policy_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
)

func BenchmarkDecide(b *testing.B) {
	p := compile(b, config(b), zone(b, "Europe/Berlin"))
	now := noon(b)
	for name, r := range map[string]int{"hold": 0, "trip": 30} {
		report := wrong(healthy(b), r)
		history := policy.History{Info: "x", Runs: []policy.RunFact{{ID: "r1", Started: now.Add(-5 * day), Ended: now.Add(-5*day + hour), Outcome: policy.OutcomePromoted, Info: "w"}}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				p.Decide(report, history, now)
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "core-ns/op")
		})
	}
}

// BenchmarkBacktest decides a year of recorded evaluations again: reports as the daemon makes them, which rise and fall
// around the bounds, with runs between them.
func BenchmarkBacktest(b *testing.B) {
	rec := recordOf(b, 50_000, 10*time.Minute)
	p := compile(b, config(b), zone(b, "Europe/Berlin"))
	o := policy.BacktestOptions{Needs: hour, Took: hour, Floor: 0.85}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if got := p.Backtest(rec, o); got.Now.Retrains == 0 {
			b.Fatal("no retrain in it")
		}
	}
	all := float64(len(rec.Reports)) * float64(b.N)
	b.ReportMetric(all/b.Elapsed().Seconds(), "evaluations/s")
	b.ReportMetric(all/(cpuTime(b)-before).Seconds(), "evaluations/core-s") // whatever else the machine does meanwhile
}

// cpuTime is what this process has computed so far, on all cores together.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// recordOf makes a record of n evaluations: most of them fine, some in which labels were corrected, and a promotion each
// month.
func recordOf(t testing.TB, n int, every time.Duration) *policy.Record {
	rec := &policy.Record{}
	random := rand.New(rand.NewPCG(1, 2))
	at, bad, promoted := noon(t).AddDate(-1, 0, 0), 0, noon(t).AddDate(-1, 0, 0)
	release := 0
	for i := range n {
		switch {
		case at.Sub(promoted) > 30*day:
			release, bad, promoted = release+1, 0, at
			run := policy.RecordedRun{RunFact: policy.RunFact{ID: fmt.Sprintf("r%02d", release), Started: at, Ended: at.Add(hour), Outcome: policy.OutcomePromoted}, GPU: hour / 2}
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
