package actions

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
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
		{400, time.Second, 4 * time.Minute, 60},
		{400, time.Second, 30 * time.Minute, 400},
		{400, time.Minute, 2 * time.Minute, 30},
		{7, time.Minute, 2 * time.Minute, 7},
		{400, 0, 2 * time.Minute, 400},
	} {
		if got := affordable(c.n, c.each, c.within); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestPercentile95(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]float64{0: 0, 1: 1, 2: 2, 20: 19, 21: 20, 100: 95, 400: 380} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(n - i)
		}
		if got := percentile95(values); got != want {
			t.Errorf("of %d values: %v, want %v", n, got, want)
		}
	}
}

// The first probes, about which even a slow model is asked, contain all requests about the differing texts, and others.
func TestFirstProbes(t *testing.T) {
	t.Parallel()
	var items []heldItem
	want, former := answers{}, answers{}
	for i := range 200 {
		id := fmt.Sprint(i)
		items = append(items, heldItem{LabelChange: drift.LabelChange{Item: id, TextHash: id}})
		key := [2]string{id, id}
		want[key] = answer{Answers: serving.Answers{"label": "new"}}
		former[key] = answer{Answers: serving.Answers{"label": map[bool]string{true: "old", false: "new"}[i%100 == 7]}}
	}
	first := probes(items, want, former)[:fewest]
	texts := map[string]bool{}
	for _, p := range first {
		texts[p.text.Item] = true
	}
	if n := differing(first); n != minDiffering || len(texts) != 2+fewest-minDiffering {
		t.Errorf("%d requests about differing texts, want %d; %d different texts in all", n, minDiffering, len(texts))
	}
}
