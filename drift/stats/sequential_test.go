package stats_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

// stream returns a deterministic sequence of errors that other programs can reproduce. Its rate is `before` for the
// first `jump` observations, and `after` from then on.
func stream(n, jump int, before, after float64) []bool {
	out := make([]bool, n)
	for i := range out {
		rate := before
		if i >= jump {
			rate = after
		}
		out[i] = float64((i*i*7919+i*104729+i*i*i*31)%1000) < 1000*rate
	}
	return out
}

// The expected values were computed from the definitions by a program in another language, as sums of plain
// exponentials.
var rises = stream(4000, 2000, .10, .22)

func TestEValues(t *testing.T) {
	t.Parallel()
	cusum, process := stats.NewECUSUM(.12), stats.NewEProcess(.12)
	near(t, "E of nothing", process.E(), 1, 0)
	detector := map[int]float64{
		1: 2.452380952380952, 10: 0.8019480519480519, 100: 0.8019480519480519,
		1000: 1.1217320434658613, 2000: 1.1217320434658613, 2050: 1.8431610868569468, 2200: 27.78168123514804,
		2500: 170118.77514101967,
	}
	martingale := map[int]float64{
		1: 2.452380952380952, 10: 0.4550939615119483, 100: 0.04629251146957577,
		1000: 0.0010414695786678857, 2000: 7.592526150170612e-06, 2050: 1.1845525879633191e-05, 2200: 5.37018818800923e-05,
		2500: 0.003813966721816127,
	}
	alarm := 0
	for i, wrong := range rises {
		cusum.Add(wrong)
		process.Add(wrong)
		cusum.Dependence, process.Dependence = stats.Dependence{}, stats.Dependence{} // the stream is periodic
		if want, ok := detector[i+1]; ok {
			near(t, "e-CUSUM", cusum.E()/want, 1, 1e-9)
			near(t, "e-process", process.E()/martingale[i+1], 1, 1e-9)
		}
		if cusum.Reaches(1800) != (cusum.E() >= 1800) || !cusum.Reaches(0) {
			t.Fatalf("after %d: E = %v", i+1, cusum.E())
		}
		if alarm == 0 && cusum.E() >= 1800 {
			alarm = i + 1
			rise := cusum.Rise(stats.Stretch{N: 1000, Errs: 100})
			if rise.Since.N < 60 || rise.Since.N > 300 || rise.Estimate < .08 || rise.Estimate > .2 || rise.Low > .12 ||
				rise.Low < .01 {
				t.Errorf("of the rise by .12 at 2000 is known %+v", rise)
			}
		}
	}
	if alarm != 2228 {
		t.Errorf("alarm at %d, want 2228", alarm)
	}
	sure := stats.NewEProcess(.12)
	for i := 0; !sure.Rejects(.05); i++ {
		if sure.Add(true); i > 10 {
			t.Fatal("ten errors in a row are no evidence")
		}
	}
}

func TestSequentialTestsAllocateNothing(t *testing.T) { // AllocsPerRun must not run in parallel with other tests
	cusum, process := stats.NewECUSUM(.1), stats.NewEProcess(.1)
	i, base := 0, stats.Stretch{N: 100, Errs: 9}
	updates := map[string]func(wrong bool){
		"e-CUSUM":   func(wrong bool) { cusum.Add(wrong); cusum.E(); cusum.Rise(base) },
		"e-process": func(wrong bool) { process.Add(wrong); process.E() },
	}
	for name, update := range updates {
		if n := testing.AllocsPerRun(5000, func() { i++; update(i%9 == 0) }); n != 0 {
			t.Errorf("%s: %v allocations an update", name, n)
		}
	}
}

// For an impossible rate, or one without a higher alternative, the test still has finite numbers.
func TestTestsOfImpossibleRates(t *testing.T) {
	t.Parallel()
	for _, p0 := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1, 2} {
		cusum, process := stats.NewECUSUM(p0), stats.NewEProcess(p0)
		for i := range 20_000 {
			cusum.Add(i%3 > 0)
			process.Add(i%3 > 0)
		}
		for _, e := range []float64{cusum.E(), process.E(), cusum.P0, process.P0} {
			if math.IsNaN(e) || math.IsInf(e, 0) || e < 0 {
				t.Errorf("p0 = %v: %v", p0, e)
			}
		}
		if _, err := json.Marshal([]any{cusum, process}); err != nil {
			t.Errorf("p0 = %v cannot be stored: %v", p0, err)
		}
	}
}

func TestRiseOfNothing(t *testing.T) {
	t.Parallel()
	e := stats.NewECUSUM(.1)
	if got := e.Rise(stats.Stretch{N: 100, Errs: 10}); got != (stats.Rise{}) || got.Since.Rate() != 0 || e.E() != 0 {
		t.Errorf("%+v, E = %v", got, e.E())
	}
}
