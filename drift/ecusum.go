package drift

import (
	"math"
	"slices"
)

// ECUSUM watches a stream of errors for a rise above a tolerated rate, at every moment, with a promise: while the true
// rate is at most P0, the expected number of observations up to a false alarm at bound c is at least c.
//
// For each alternative q above P0 a likelihood-ratio sum is restarted at zero like a CUSUM,
//
//	L = max(L, 0) + (error ? ln(q/P0) : ln((1-q)/(1-P0)))
//
// and E is the mean of exp(L) over the alternatives. Each factor has mean at most 1 under the tolerated rate, and an
// average of e-detectors is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors").
type ECUSUM struct {
	P0   float64   `json:"p0"`
	L    []float64 `json:"l"` // one per alternative
	N    int       `json:"n"`
	Errs int       `json:"errors"`
}

// alternatives are how far above the tolerated error rate the stream is compared with.
var alternatives = [...]float64{.02, .05, .1, .15, .2, .3, .4}

// NewECUSUM starts a test against the tolerated error rate p0. Rates outside (0, 1) are moved inside: a baseline
// without a single error still tolerates one in a thousand.
func NewECUSUM(p0 float64) ECUSUM {
	if math.IsNaN(p0) {
		p0 = 0.5
	}
	p0 = min(max(p0, 0.001), 0.97)
	e := ECUSUM{P0: p0}
	for _, a := range alternatives {
		if p0+a < 1 {
			e.L = append(e.L, 0)
		}
	}
	return e
}

// Add takes one observation, in commit order.
func (e *ECUSUM) Add(isError bool) {
	e.N++
	if isError {
		e.Errs++
	}
	for i := range e.L {
		q := e.P0 + alternatives[i]
		step := math.Log1p(-q) - math.Log1p(-e.P0)
		if isError {
			step = math.Log(q / e.P0)
		}
		e.L[i] = max(e.L[i], 0) + step
	}
}

// E is the current e-value; 0 before the first observation, capped at 1e300 so that it stays a JSON number.
func (e *ECUSUM) E() float64 {
	if e.N == 0 || len(e.L) == 0 {
		return 0
	}
	top := slices.Max(e.L)
	var sum float64
	for _, l := range e.L {
		sum += math.Exp(l - top)
	}
	return math.Exp(min(top+math.Log(sum/float64(len(e.L))), 690.7))
}

// valid says whether a stored state fits this test.
func (e *ECUSUM) valid(stored ECUSUM) bool {
	if math.Abs(stored.P0-e.P0) > 1e-12 || len(stored.L) != len(e.L) || stored.N < 0 || stored.Errs < 0 || stored.Errs > stored.N {
		return false
	}
	return !slices.ContainsFunc(stored.L, func(l float64) bool { return math.IsNaN(l) || math.IsInf(l, 0) })
}
