package stats_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

// SmallestDrop is checked with random samples of exactly that drop: the share that ScoreTest detects must be the power.
func TestSmallestDrop(t *testing.T) {
	t.Parallel()
	const draws, power, level = 2000, .8, .001
	rng := rand.New(rand.NewPCG(8, 8))
	binomial := func(n int, p float64) (k int) {
		for range n {
			if rng.Float64() < p {
				k++
			}
		}
		return k
	}
	for _, n := range []int{200, 1000} {
		drop := stats.SmallestDrop(.88, n, n, level, power)
		found := 0
		for range draws {
			if stats.ScoreTest(binomial(n, .88), n, binomial(n, .88-drop), n) <= level {
				found++
			}
		}
		// Four standard deviations of the binomial, and two points for the normal approximation.
		near(t, "power", float64(found)/draws, power, 4*math.Sqrt(power*(1-power)/draws)+.02)
	}
	if a, b := stats.SmallestDrop(.88, 200, 200, level, power), stats.SmallestDrop(.88, 2000, 2000, level, power); a <= b {
		t.Errorf("more items find less: %v, %v", a, b)
	}
	for name, v := range map[string]float64{
		"nothing then": stats.SmallestDrop(.88, 0, 100, level, power),
		"nothing now":  stats.SmallestDrop(.88, 100, 0, level, power),
		"one item":     stats.SmallestDrop(.88, 1, 1, level, power),
		"no accuracy":  stats.SmallestDrop(math.NaN(), 100, 100, level, power),
		"never right":  stats.SmallestDrop(0, 100, 100, level, power),
	} {
		if !math.IsNaN(v) {
			t.Errorf("%s: %v, want: unknown", name, v)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	found, median := stats.Delay(.10, .20, 10_000, 2000, 200)
	if found < .99 || median < 140 || median > 220 { // another simulation: 179
		t.Errorf("found %.2f, median %d", found, median)
	}
	if found, median := stats.Delay(.10, .10, 10_000, 1000, 100); found > .05 || found == 0 && median != 0 {
		t.Errorf("nothing changed: found %.2f, median %d", found, median)
	}
	if found, median := stats.Delay(.10, .20, 10_000, 0, 100); found != 0 || median != 0 {
		t.Errorf("no labels: found %.2f, median %d", found, median)
	}
	rise := stats.SmallestRise(.10, .12, 1800, 1800, .8)
	if rise < .03 || rise > .08 {
		t.Errorf("the smallest rise found: %v", rise)
	}
	if again := stats.SmallestRise(.10, .12, 1800, 1800, .8); again != rise {
		t.Errorf("two calls return different results: %v, %v", rise, again)
	}
	if v := stats.SmallestRise(.10, .12, 1800, 3, .8); !math.IsNaN(v) {
		t.Errorf("three labels find %v", v)
	}
	if v := stats.SmallestRise(1, 1, 1800, 1000, .8); !math.IsNaN(v) {
		t.Errorf("a classifier that is always wrong gets worse by %v", v)
	}
}

// The PSI of two samples of the same mix is as large as ShiftByChance predicts.
func TestShiftByChance(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	const categories, n0, n1, rounds = 8, 600, 400, 2000
	psi := .045
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(n int) map[string]int {
		mix := map[string]int{}
		for range n {
			mix[fmt.Sprint(rng.IntN(categories))]++
		}
		return mix
	}
	beyond := 0
	for range rounds {
		if stats.PSI(draw(n0), draw(n1)) >= psi {
			beyond++
		}
	}
	want := stats.ShiftByChance(psi, categories, n0, n1)
	if got := float64(beyond) / rounds; math.Abs(got-want) > .03 || want < .05 {
		t.Errorf("%.3f of the samples, computed %.3f", got, want)
	}
	for _, c := range []struct {
		psi          float64
		k, n0, n1    int
		want, within float64
	}{{.2, 1, 100, 100, 0, 0}, {.2, 8, 0, 100, 1, 0}, {0, 8, 100, 100, 1, 0}, {.2, 8, 100_000, 100_000, 0, 1e-12}} {
		if got := stats.ShiftByChance(c.psi, c.k, c.n0, c.n1); math.Abs(got-c.want) > c.within {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
