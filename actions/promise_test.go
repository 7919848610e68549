package actions

import (
	"math"
	"testing"

	"github.com/retraind/retraind/store"
)

// chance returns the exact probability that the gate passes a candidate that is truly better by the given points,
// compared on n items. On one item in ten exactly one of candidate and champion is right. The probability is the sum
// over all tables of wins and losses.
func chance(gate Gate, n int, points float64) float64 {
	pw, pl := (.1+points/100)/2, (.1-points/100)/2
	lw, ll, lb := math.Log(pw), math.Log(pl), math.Log(.9)
	fact := func(k int) float64 { v, _ := math.Lgamma(float64(k + 1)); return v }
	most := n/10 + 8*int(math.Sqrt(float64(n)*.09)) // eight standard deviations above the mean: the rest is below 1e-12
	total := 0.
	for w := 0; w <= most; w++ {
		for l := 0; l <= most && w+l <= n; l++ {
			p := math.Exp(fact(n) - fact(w) - fact(l) - fact(n-w-l) + float64(w)*lw + float64(l)*ll + float64(n-w-l)*lb)
			if p < 1e-9 {
				continue
			}
			if _, class, _ := Judge(promote(gate), facts(n, w, l), "sha256:old"); class == store.StepOK {
				total += p
			}
		}
	}
	return total
}

// TestWhatTheGatesPromise checks that the probabilities of a promotion agree with the simulations by which the gates
// were chosen (20,000 pairs of models each; hence the tolerance).
func TestWhatTheGatesPromise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n                       int
		points                  float64
		point, better, notWorse float64
	}{
		{200, -3, .105, .001, .005},
		{200, 0, .55, .03, .12},
		{200, 3, .93, .31, .56},
		{500, -2, .09, .00, .01},
		{500, 0, .53, .038, .18},
		{500, 3, .99, .65, .89},
	} {
		for gate, want := range map[Gate]float64{GatePoint: c.point, GateBetter: c.better, GateNotWorse: c.notWorse} {
			if got := chance(gate, c.n, c.points); math.Abs(got-want) > .025 {
				t.Errorf("%s, n = %d, %+g points: promoted with probability %.3f, by simulation %.3f", gate, c.n, c.points, got,
					want)
			}
		}
	}
	// The promise itself: a model that is 3 points worse is hardly ever deployed, and with more test items even more
	// rarely.
	at200, at500 := chance(GateNotWorse, 200, -3), chance(GateNotWorse, 500, -3)
	if at200 > .01 || at500 > .002 {
		t.Errorf("a model 3 points worse is promoted with probability %.4f at n = 200 and %.4f at n = 500", at200, at500)
	}
	// At exactly the margin, the test keeps its level.
	if p := chance(GateNotWorse, 500, -1); p > gateAlpha+.01 {
		t.Errorf("a model exactly 1 point worse is promoted with probability %.3f", p)
	}
}
