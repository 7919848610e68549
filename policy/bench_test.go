package policy_test

import (
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
		history := policy.History{
			Info: "x",
			Runs: []policy.RunFact{{
				ID: "r1", Started: now.Add(-5 * day), Ended: now.Add(-5*day + hour),
				Outcome: policy.OutcomePromoted, Info: "w",
			}},
		}
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

// cpuTime returns the CPU time of this process on all cores.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
