package stats

import "math"

// EProcess tests whether the error rate of a stream that begins at a fixed time, such as a deploy, is above a tolerated
// rate. It uses the sums of ECUSUM without restarts. E is a mean of likelihood ratios, so it begins at 1 and is a
// supermartingale while the true rate is at most P0. Therefore the probability that E ever reaches 1/alpha is at most
// alpha, however often it is evaluated (Ville's inequality). Clustered errors are handled as in ECUSUM.
type EProcess struct {
	P0   float64   `json:"p0"`
	L    []float64 `json:"l"`
	N    int       `json:"n"`
	Errs int       `json:"errors"`

	Dependence Dependence `json:"dependence"`

	steps [len(alternatives)]steps
}

// NewEProcess starts a test against the tolerated error rate p0, clamped to [0.001, 0.97].
func NewEProcess(p0 float64) EProcess {
	e := EProcess{P0: tolerated(p0)}
	e.L = make([]float64, fill(&e.steps, e.P0))
	return e
}

// Add adds one observation; call it in commit order.
func (e *EProcess) Add(isError bool) {
	e.N++
	if isError {
		e.Errs++
		e.Dependence.add(1)
		for i := range e.L {
			e.L[i] += e.steps[i].wrong
		}
		return
	}
	e.Dependence.add(0)
	for i := range e.L {
		e.L[i] += e.steps[i].right
	}
}

// E returns the current e-value: 1 before the first observation, at most 1e300.
func (e *EProcess) E() float64 { return meanExp(e.L, e.Dependence.Factor(e.P0)) }

// Rejects reports whether the test finds the error rate above the tolerated rate, at a level alpha such as 0.05.
func (e *EProcess) Rejects(alpha float64) bool { return reaches(e.L, &e.Dependence, e.P0, 1/alpha) }

// Restore replaces the state by a stored one if that is valid and of the same test, and reports whether it did.
func (e *EProcess) Restore(stored EProcess) bool {
	if math.Abs(stored.P0-e.P0) > 1e-12 || len(stored.L) != len(e.L) || !(Stretch{stored.N, stored.Errs}).Valid() {
		return false
	}
	for _, l := range stored.L {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return false
		}
	}
	copy(e.L, stored.L)
	e.N, e.Errs = stored.N, stored.Errs
	if stored.Dependence.Valid() {
		e.Dependence = stored.Dependence
	}
	return true
}
