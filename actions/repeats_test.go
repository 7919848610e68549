package actions

import (
	"math"
	"testing"
	"time"
)

func TestParityOfWhatRepeatsItself(t *testing.T) {
	t.Parallel()
	for r, want := range map[Repeats]float64{
		{}:        .98, // not measured
		{40, 40}:  .98,
		{40, 36}:  .88,
		{40, 10}:  .5,
		{100, 99}: .97,
	} {
		if got := r.Parity(.995); math.Abs(got-want) > 1e-12 {
			t.Errorf("%+v: %v, want %v", r, got, want)
		}
	}
	if got := (Repeats{40, 40}).Parity(.9); got != .9 {
		t.Errorf("less was configured: %v", got)
	}
}

// A fast service is asked about all texts, a slow one about as many as fit into a quarter of the time.
func TestProbesFollowLatency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n      int
		each   time.Duration
		within time.Duration
		want   int
	}{
		{400, time.Millisecond, 2 * time.Minute, 400},
		{400, time.Second, 2 * time.Minute, 30},
		{400, time.Second, 30 * time.Minute, 400},
		{400, time.Minute, 2 * time.Minute, 20},
		{7, time.Minute, 2 * time.Minute, 7},
		{400, 0, 2 * time.Minute, 400},
	} {
		if got := affordable(c.n, c.each, c.within); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
