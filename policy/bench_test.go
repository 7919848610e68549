package policy_test

import (
	"testing"

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
			for b.Loop() {
				p.Decide(report, history, now)
			}
		})
	}
}

// BenchmarkRedecide decides without words, as a backtest does.
func BenchmarkRedecide(b *testing.B) {
	p := compile(b, config(b), zone(b, "Europe/Berlin"))
	now := noon(b)
	for name, r := range map[string]int{"hold": 0, "trip": 30} {
		report := wrong(healthy(b), r)
		history := policy.History{Info: "x", Runs: []policy.RunFact{{ID: "r1", Started: now.Add(-5 * day), Ended: now.Add(-5*day + hour), Outcome: policy.OutcomePromoted, Info: "w"}}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var d policy.Decision
			for b.Loop() {
				policy.Redecide(p, &d, &report, &history, now)
			}
		})
	}
}
