package daemon

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Nine of ten kept the 90th percentile, and no shorter time has that property.
func TestPercentile90(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var took []time.Duration
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 50), 1, 40).Draw(t, "took") {
			took = append(took, time.Duration(n))
		}
		kept := func(limit time.Duration) (n int) {
			for _, d := range took {
				if d <= limit {
					n++
				}
			}
			return n
		}
		p := percentile90(took)
		if 10*kept(p) < 9*len(took) || 10*kept(p-1) >= 9*len(took) {
			t.Fatalf("%v of %v: %d kept it", p, took, kept(p))
		}
	})
	if percentile90(nil) != 0 {
		t.Error("no run takes no time")
	}
}
