package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift/stats"
)

// arithmetic skips a test in the short run (the one under the race detector): the test is long and has no concurrency.
func arithmetic(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("arithmetic")
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.15g, want %.15g", what, got, want)
	}
}

func TestWilsonAgainstTable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		n         int
		low, high float64
	}{{50, .786, .957}, {100, .826, .945}, {200, .851, .934}, {500, .871, .923}, {1000, .880, .917}, {2000, .886, .912}} {
		low, high := stats.Wilson(row.n*9/10, row.n)
		near(t, "low", low, row.low, .0006)
		near(t, "high", high, row.high, .0006)
	}
	for _, k := range []int{0, 10} {
		low, high := stats.Wilson(k, 10)
		if k == 0 && low != 0 || k == 10 && high != 1 || low >= high {
			t.Errorf("%d of 10: (%v, %v)", k, low, high)
		}
	}
	if low, high := stats.Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("nothing known: (%v, %v)", low, high)
	}
}

func TestClopperPearson(t *testing.T) {
	t.Parallel()
	// Reference: R 4, binom.test(k, n)$conf.int.
	for _, row := range []struct {
		k, n      int
		low, high float64
	}{{8, 10, .4439045, .9747893}, {0, 10, 0, .3084971}, {10, 10, .6915029, 1}, {7, 20, .1539092, .5921885}} {
		low, high := stats.ClopperPearson(row.k, row.n, .95)
		near(t, "low", low, row.low, 1e-6)
		near(t, "high", high, row.high, 1e-6)
	}
}

func TestIntervalsHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		p := float64(k) / float64(n)
		for name, interval := range map[string]func() (float64, float64){
			"wilson":          func() (float64, float64) { return stats.Wilson(k, n) },
			"clopper-pearson": func() (float64, float64) { return stats.ClopperPearson(k, n, .95) },
		} {
			low, high := interval()
			if !(low >= 0 && low <= p && p <= high && high <= 1) {
				t.Fatalf("%s of %d/%d: (%v, %v)", name, k, n, low, high)
			}
		}
	})
}

func TestSmallestWins(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		wins, losses int
		p            float64
	}{{5, 0, .031}, {7, 1, .035}, {10, 3, .046}, {20, 10, .049}, {8, 2, .055}, {12, 5, .072}} {
		m := stats.NewMcNemar(row.wins, row.losses)
		near(t, "better", m.Better, row.p, .0006)
		near(t, "sign test", stats.SignTest(row.wins, row.losses), m.Better, 0)
		near(t, "differ", m.Differ, 2*m.Better, 1e-12)
		if m.MidP >= m.Differ || m.Verdict != 1 {
			t.Errorf("%+v", m)
		}
	}
	if m := stats.NewMcNemar(0, 0); m.Better != 1 || m.Differ != 1 || m.MidP != 1 || stats.SignTest(0, 0) != 1 {
		t.Errorf("nothing to compare: %+v", m)
	}
	if m := stats.NewMcNemar(4, 4); m.Differ != 1 || m.MidP != 1 || m.Verdict != 0 {
		t.Errorf("as many: %+v", m)
	}
	// Computed by hand: 3 against 0 is (1/2)^3.
	near(t, "3:0", stats.SignTest(3, 0), .125, 1e-15)
	near(t, "0:3", stats.SignTest(0, 3), 1, 0)
}

func TestNonInferior(t *testing.T) {
	t.Parallel()
	// Computed by hand (Wald): d = 0.02, se = sqrt((60/500 - 0.0004)/500) = 0.015467, lower = 0.02 - 1.644854*0.015467.
	w := stats.NonInferior(35, 25, 500, .01, .05)
	if w.Method != "wald" || !w.Pass {
		t.Errorf("%+v", w)
	}
	near(t, "wald", w.Lower, 0.02-1.644853627*math.Sqrt((0.12-0.0004)/500), 1e-9)

	// Without discordant items the score bound is -z²/(n+z²).
	z2 := 1.6448536269514722 * 1.6448536269514722
	s := stats.NonInferior(0, 0, 200, .01, .05)
	near(t, "score, none", s.Lower, -z2/(200+z2), 1e-9)
	if s.Pass || s.Method != "score" {
		t.Errorf("200 items without a difference cannot show one point: %+v", s)
	}
	if s := stats.NonInferior(0, 0, 400, .01, .05); !s.Pass {
		t.Errorf("400 items can: %+v", s)
	}
	// Tango 1998, table of the crossover study: 44 pairs, b = 0, c = 1, 90% two-sided score interval.
	near(t, "one loss", stats.NonInferior(0, 1, 44, .01, .05).Difference, -1./44, 1e-12)
	if stats.NonInferior(0, 0, 0, .01, .05).Pass {
		t.Error("nothing passes without items")
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		wins := rapid.IntRange(0, n).Draw(t, "wins")
		losses := rapid.IntRange(0, n-wins).Draw(t, "losses")
		r := stats.NonInferior(wins, losses, n, .01, .05)
		if math.IsNaN(r.Lower) || r.Lower > r.Difference+1e-12 || r.Lower < -1 {
			t.Fatalf("%+v", r)
		}
		if losses > 0 {
			better := stats.NonInferior(wins+1, losses-1, n, .01, .05)
			if better.Method == r.Method && better.Lower < r.Lower-1e-9 {
				t.Fatalf("one loss fewer lowers the bound: %+v then %+v", r, better)
			}
		}
	})
}

func TestECUSUMKeepsItsPromise(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	rng := rand.New(rand.NewPCG(1, 2))
	const runs, labels, bound = 300, 5000, 10_000
	alarms := 0
	var delays []int
	for range runs {
		e := stats.NewECUSUM(.10)
		for range labels {
			if e.Add(rng.Float64() < .10); e.E() >= bound {
				alarms++
				break
			}
		}
		e = stats.NewECUSUM(.10)
		for range 1000 {
			e.Add(rng.Float64() < .10)
		}
		for i := 1; ; i++ {
			if e.Add(rng.Float64() < .20); e.E() >= bound {
				delays = append(delays, i)
				break
			}
		}
	}
	if share := float64(alarms) / runs; share > .06 { // another simulation: 2%
		t.Errorf("false alarms in %.3f of the runs", share)
	}
	sum := 0
	for _, d := range delays {
		sum += d
	}
	if mean := sum / len(delays); mean < 100 || mean > 300 { // another simulation: median 179
		t.Errorf("mean delay %d labels", mean)
	}
}

func TestECUSUMNeedsNoMemoryAndNoLuck(t *testing.T) {
	t.Parallel()
	e := stats.NewECUSUM(.05)
	if e.E() != 0 {
		t.Errorf("before the first label: %v", e.E())
	}
	for _, p0 := range []float64{math.NaN(), -1, 0, 1, 2} {
		e := stats.NewECUSUM(p0)
		for range 100_000 {
			e.Add(true)
		}
		if v := e.E(); math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
			t.Errorf("p0 = %v: E = %v", p0, v)
		}
	}
}

func TestShift(t *testing.T) {
	t.Parallel()
	ref := map[string]int{"a": 50, "b": 50}
	near(t, "same", stats.PSI(ref, map[string]int{"a": 500, "b": 500}), 0, 1e-15)
	// (.7-.5)ln(.7/.5) + (.3-.5)ln(.3/.5)
	near(t, "psi", stats.PSI(ref, map[string]int{"a": 70, "b": 30}), .2*math.Log(1.4)-.2*math.Log(.6), 1e-12)
	near(t, "nothing", stats.PSI(nil, ref)+stats.PSI(ref, nil), 0, 0)
	if v := stats.PSI(ref, map[string]int{"c": 10}); math.IsInf(v, 0) || v < 1 {
		t.Errorf("disjoint: %v", v)
	}
	near(t, "js same", stats.JensenShannon(ref, ref), 0, 1e-15)
	near(t, "js disjoint", stats.JensenShannon(ref, map[string]int{"c": 1}), 1, 1e-12)
	// scipy.spatial.distance.jensenshannon([.5,.5],[1,0],base=2)
	near(t, "js", stats.JensenShannon(ref, map[string]int{"a": 1}), .5579230452841438, 1e-12)
}
