package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/retraind/retraind/drift/stats"
)

// clusters draws errors with a mean rate. Each block of observations has its own rate, so that the errors of two
// observations in one block have the correlation `rho`.
func clusters(seed uint64, block int, rho float64) func(mean float64) bool {
	rng := rand.New(rand.NewPCG(seed, 25))
	n, own, of := 0, 0.0, -1.0
	return func(mean float64) bool {
		if n%block == 0 || mean != of {
			own, of = mean, mean
			if rho > 0 {
				of := 1/rho - 1
				own = distuv.Beta{Alpha: mean * of, Beta: (1 - mean) * of, Src: rng}.Rand()
			}
		}
		n++
		return rng.Float64() < own
	}
}

// At the tolerated rate itself, which is the hardest case, there is at most one alarm in as many labels as the bound.
// Without measuring the dependence, clusters of 25 cause 2.9 alarms, clusters of 100 cause 2.4.
func TestECUSUMKeepsItsPromiseOfClusters(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const p0, bound, streams, each = .13, 1800, 60, 5
	for _, c := range []struct {
		name      string
		block     int
		rho, most float64
	}{
		{"independent", 1, 0, .1},
		{"blocks of 25, correlation 0.05", 25, .05, .25},
		{"blocks of 25, correlation 0.09", 25, .09, .4},
		{"blocks of 25, correlation 0.2", 25, .2, .8},
		{"blocks of 8, correlation 0.2", 8, .2, .4},
		{"blocks of 100, correlation 0.05", 100, .05, .8},
	} {
		alarms := 0
		for i := range streams {
			next := clusters(uint64(i), c.block, c.rho)
			e := stats.NewECUSUM(p0)
			for range each * bound {
				if e.Add(next(p0)); e.Reaches(bound) {
					alarms++
					e = stats.NewECUSUM(p0)
				}
			}
		}
		if share := float64(alarms) / streams / each; share > c.most {
			t.Errorf("%s: %.2f alarms in as many labels as one is allowed in, at most %.2f is right", c.name, share, c.most)
		}
	}
}

// A probation starts without a measured dependence, so clusters raise its rate of false rollbacks; with a known
// dependence it keeps the promised rate.
func TestProbationOfClusters(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const p0, alpha, streams = .13, .05, 500
	crossed := func(known bool) float64 {
		n := 0
		for i := range streams {
			next := clusters(uint64(i), 8, .1)
			e := stats.NewEProcess(p0)
			if known {
				before := stats.NewEProcess(p0)
				for range 2000 {
					before.Add(next(p0))
				}
				e.Dependence = before.Dependence
			}
			for range 1500 {
				if e.Add(next(p0)); e.Rejects(alpha) {
					n++
					break
				}
			}
		}
		return float64(n) / streams
	}
	if share := crossed(false); share > .16 {
		t.Errorf("%.3f of the probations failed with nothing wrong", share)
	}
	if share := crossed(true); share > alpha+.02 { // two standard errors
		t.Errorf("%.3f of the probations failed with nothing wrong, promised %.2f", share, alpha)
	}
}

func TestDependence(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	factor := func(block int, rho float64, rate func(n int) float64) float64 {
		sum := 0.0
		for i := range 20 {
			next := clusters(uint64(i), block, rho)
			e := stats.NewECUSUM(.12)
			for n := range 5000 {
				e.Add(next(rate(n)))
			}
			sum += e.Dependence.Factor(.12) / 20
		}
		return sum
	}
	steady := func(int) float64 { return .12 }
	for _, c := range []struct {
		name      string
		got       float64
		low, high float64
	}{
		{"independent", factor(1, 0, steady), 1, 1.1},
		{
			"independent, and the rate rises by 10 points",
			factor(1, 0, func(n int) float64 { return .12 + .1*float64(n/2500) }), 1, 1.3,
		},
		{
			"independent, and the rate rises slowly by 30 points",
			factor(1, 0, func(n int) float64 { return .12 + .3*float64(n)/5000 }), 1, 1.2,
		},
		{"blocks of 25 with correlation 0.09: 1 + 24 × 0.09", factor(25, .09, steady), 2.5, 3.8},
		{"blocks of 5 with correlation 0.25: 1 + 4 × 0.25", factor(5, .25, steady), 1.6, 2.5},
	} {
		if !(c.got >= c.low && c.got <= c.high) {
			t.Errorf("%s: %.2f labels count as one, want %.1f to %.1f", c.name, c.got, c.low, c.high)
		}
	}
	if f := (&stats.Dependence{}).Factor(.1); f != 1 {
		t.Errorf("nothing is known: %v", f)
	}
}

// Rise.Low is compared with points. With a true rise of 5 points it must not reach 20 because of one burst. A true
// rise of 25 points must be found even if it follows a year with a rise of 5. A classifier that is nearly always
// wrong is detected at once.
func TestRiseIsNoBurst(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const streams, bound, year = 150, 1800, 3650
	trips := func(before int, early, rise float64) (share float64, labels int) {
		found := 0
		for i := range streams {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			base := stats.Stretch{N: 1000, Errs: int(distuv.Binomial{N: 1000, P: .12, Src: rng}.Rand())}
			e := stats.NewECUSUM(stats.ToleratedError(base.N-base.Errs, base.N))
			for n := range before + year {
				rate := .12 + rise
				if n < before {
					rate = .12 + early
				}
				if e.Add(rng.Float64() < rate); n >= before && e.Reaches(bound) && e.Rise(base).Low >= .20 {
					found++
					labels += n - before
					break
				}
			}
		}
		return float64(found) / streams, labels / max(found, 1)
	}
	for _, c := range []struct {
		name        string
		before      int
		early, rise float64
		least, most float64
		labels      int
	}{
		{"a rise by 5", 0, 0, .05, 0, .01, 0},
		{"a rise by 10", 0, 0, .10, 0, .1, 0},
		{"a rise by 25", 0, 0, .25, .98, 1, 500},
		{"a rise by 5, a year later by 25", year, .05, .25, .97, 1, 600},
		{"a rise by 80", 0, 0, .80, 1, 1, 25},
	} {
		share, labels := trips(c.before, c.early, c.rise)
		if share < c.least || share > c.most || c.labels > 0 && labels > c.labels {
			t.Errorf("%s: points 20 trips in %.3f of the years after %d labels", c.name, share, labels)
		}
	}
}

func TestStatesThatCannotBeAreNotTakenOver(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*stats.Dependence){
		"more errors than observations": func(d *stats.Dependence) { d.Blocks[1].Errs = 20 },
		"a block that is too long":      func(d *stats.Dependence) { d.Blocks[0].N = 5 },
		"not a number":                  func(d *stats.Dependence) { d.Blocks[2].Squares = math.NaN() },
		"squares of one block":          func(d *stats.Dependence) { d.Blocks[2].Whole = 1 },
		"less than nothing":             func(d *stats.Dependence) { d.Blocks[0].Expected = -1 },
	} {
		stored, next := stats.NewECUSUM(.12), clusters(1, 25, .2)
		for range 1000 {
			stored.Add(next(.12))
		}
		good, bad := stats.NewECUSUM(.12), stats.NewECUSUM(.12)
		if !good.Restore(stored) || good.Dependence != stored.Dependence {
			t.Fatal("a good state is refused")
		}
		damage(&stored.Dependence)
		if !bad.Restore(stored) || bad.Dependence != (stats.Dependence{}) || bad.N != 1000 {
			t.Errorf("%s: %+v", name, bad)
		}
	}
}
