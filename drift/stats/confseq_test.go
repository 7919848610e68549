package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

func TestConfidenceSequence(t *testing.T) {
	t.Parallel()
	// The roots of B(k+1, n-k+1) / (p^k (1-p)^(n-k)) = 20, by scipy.optimize.brentq over scipy.special.betaln.
	for _, row := range confidenceSequences {
		low, high := stats.ConfidenceSequence(row.k, row.n, .95)
		near(t, "low", low, row.low, 1e-9)
		near(t, "high", high, row.high, 1e-9)
	}
	for _, nothing := range [][2]int{{0, 0}, {-1, 5}, {6, 5}} {
		if low, high := stats.ConfidenceSequence(nothing[0], nothing[1], .95); low != 0 || high != 1 {
			t.Errorf("%v: (%v, %v)", nothing, low, high)
		}
	}
	if low, high := stats.ConfidenceSequence(3, 5, math.NaN()); low != 0 || high != 1 {
		t.Errorf("no level: (%v, %v)", low, high)
	}
}

// If the interval is evaluated after every answer, it excludes the truth at any time in at most one stream of twenty.
func TestConfidenceSequenceHoldsAtEveryLook(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	rng := rand.New(rand.NewPCG(3, 4))
	const streams, labels = 250, 800
	for _, p := range []float64{.5, .9, .98} {
		ever, once := 0, 0
		for range streams {
			k, out, outOnce := 0, false, false
			for n := 1; n <= labels; n++ {
				if rng.Float64() < p {
					k++
				}
				low, high := stats.ConfidenceSequence(k, n, .95)
				out = out || p < low || p > high
				low, high = stats.Wilson(k, n)
				outOnce = outOnce || p < low || p > high
			}
			if out {
				ever++
			}
			if outOnce {
				once++
			}
		}
		// 5% plus four standard deviations of the binomial: a correct program fails for one of 30,000 seeds.
		if most := .05 + 4*math.Sqrt(.05*.95/streams); float64(ever)/streams > most {
			t.Errorf("p = %v: outside in %.3f of the streams, allowed %.3f", p, float64(ever)/streams, most)
		}
		if float64(once)/streams < .3 {
			t.Errorf("p = %v: Wilson's interval, evaluated as often, excludes it in only %.3f: this test detects nothing", p,
				float64(once)/streams)
		}
	}
}

var confidenceSequences = []struct {
	k, n      int
	low, high float64
}{
	{0, 1, 0, 0.975},
	{1, 1, 0.025000000000000005, 1},
	{1, 2, 0.008403959874912477, 0.9915960401250872},
	{0, 30, 0, 0.19291313944028174},
	{30, 30, 0.8070868605597182, 1},
	{29, 30, 0.7470706012056384, 0.9999461525355658},
	{9, 10, 0.45488174728681074, 0.999543583117322},
	{90, 100, 0.7717290804492852, 0.97115800191665},
	{180, 200, 0.8116955495607359, 0.9573756661107077},
	{450, 500, 0.8453581824689896, 0.9411445121967835},
	{1, 1000, 4.995254265255028e-08, 0.012353949343022752},
	{99999, 100000, 0.9998263840536815, 0.999999999995},
	{850000, 1000000, 0.8483973124491344, 0.8515933408707131},
}
