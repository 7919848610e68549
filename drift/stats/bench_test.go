package stats_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

// BenchmarkSequential measures one update of each sequential test and the check for an alarm.
func BenchmarkSequential(b *testing.B) {
	cusum, process := stats.NewECUSUM(.1), stats.NewEProcess(.1)
	updates := map[string]func(wrong bool) bool{
		"ecusum":   func(wrong bool) bool { cusum.Add(wrong); return cusum.Reaches(1800) },
		"eprocess": func(wrong bool) bool { process.Add(wrong); return process.Rejects(.05) },
	}
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		update := updates[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				update(i%10 == 0)
			}
		})
	}
}
