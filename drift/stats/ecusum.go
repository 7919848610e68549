package stats

import "math"

// ECUSUM detects a rise of an error rate above a tolerated rate, and may be evaluated after every observation. It
// guarantees that while the true rate is at most P0, the expected number of observations before a false alarm at bound
// c is at least c.
//
// For each of several assumed error rates q above P0, the alternatives, a sum of log-likelihood ratios restarts at zero
// like a CUSUM:
//
//	L = max(L, 0) + (error ? ln(q/P0) : ln((1-q)/(1-P0)))
//
// E is the mean of exp(L) over the alternatives. Under the tolerated rate each factor has a mean of at most 1, and an
// average of e-detectors is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors").
//
// The guarantee needs independent errors. If errors are clustered, E is the mean of exp(L/d), where d is the measured
// Dependence. A mean of powers is at most the power of the mean, so E reaches no bound above 1 that it would not reach
// with d = 1. Therefore the guarantee for independent errors is kept for every measured d.
type ECUSUM struct {
	P0   float64   `json:"p0"`
	L    []float64 `json:"l"`    // sums of log-likelihood ratios, one per alternative
	Runs []Stretch `json:"runs"` // observations since each sum restarted, one per alternative
	N    int       `json:"n"`
	Errs int       `json:"errors"`

	Dependence Dependence `json:"dependence"`

	steps [len(alternatives)]steps
}

// Stretch is a part of a stream: its number of observations, and how many of them are errors.
type Stretch struct {
	N    int `json:"n"`
	Errs int `json:"errors"`
}

// Rate returns the share of errors; 0 if the stretch is empty.
func (r Stretch) Rate() float64 {
	if r.N == 0 {
		return 0
	}
	return float64(r.Errs) / float64(r.N)
}

// alternatives are the differences between the assumed error rates and the tolerated one.
var alternatives = [...]float64{.02, .05, .1, .15, .2, .3, .4}

// steps are the logarithms of the likelihood ratio for an error and for a right answer.
type steps struct{ wrong, right float64 }

// tolerated clamps a rate to values inside (0, 1), so that a baseline without errors still tolerates one error in a
// thousand. NaN becomes 0.5.
func tolerated(p0 float64) float64 {
	if math.IsNaN(p0) {
		return 0.5
	}
	return min(max(p0, 0.001), 0.97)
}

// fill writes the log-likelihood steps of each alternative whose error rate p0 + a is below 1, and returns their
// number. There is at least one, because p0 is at most 0.97 and the smallest a is 0.02.
func fill(table *[len(alternatives)]steps, p0 float64) int {
	n := 0
	for _, a := range alternatives {
		if q := p0 + a; q < 1 {
			table[n] = steps{wrong: math.Log(q / p0), right: math.Log1p(-q) - math.Log1p(-p0)}
			n++
		}
	}
	return n
}

// NewECUSUM starts a test against the tolerated error rate p0, clamped to [0.001, 0.97].
func NewECUSUM(p0 float64) ECUSUM {
	e := ECUSUM{P0: tolerated(p0)}
	n := fill(&e.steps, e.P0)
	e.L, e.Runs = make([]float64, n), make([]Stretch, n)
	return e
}

// Add adds one observation; call it in commit order.
func (e *ECUSUM) Add(isError bool) {
	e.N++
	wrong := 0
	if isError {
		wrong = 1
		e.Errs++
	}
	e.Dependence.add(wrong)
	for i := range e.L {
		if e.L[i] <= 0 {
			e.L[i], e.Runs[i] = 0, Stretch{}
		}
		if isError {
			e.L[i] += e.steps[i].wrong
		} else {
			e.L[i] += e.steps[i].right
		}
		e.Runs[i].N++
		e.Runs[i].Errs += wrong
	}
}

// E returns the current e-value: 0 before the first observation, at most 1e300 so that it remains a JSON number.
func (e *ECUSUM) E() float64 {
	if e.N == 0 {
		return 0
	}
	return meanExp(e.L, e.Factor())
}

// Factor returns how many observations count as one independent observation.
func (e *ECUSUM) Factor() float64 { return e.Dependence.Factor(e.P0) }

// Reaches reports whether E is at least a bound.
func (e *ECUSUM) Reaches(bound float64) bool {
	return e.N > 0 && reaches(e.L, &e.Dependence, e.P0, bound)
}

// Restore replaces the state by a stored one if that is valid and of the same test, and reports whether it did.
func (e *ECUSUM) Restore(stored ECUSUM) bool {
	if math.Abs(stored.P0-e.P0) > 1e-12 || len(stored.L) != len(e.L) || len(stored.Runs) != len(e.L) ||
		!(Stretch{stored.N, stored.Errs}).Valid() {
		return false
	}
	for i, l := range stored.L {
		if math.IsNaN(l) || math.IsInf(l, 0) || !stored.Runs[i].Valid() {
			return false
		}
	}
	copy(e.L, stored.L)
	copy(e.Runs, stored.Runs)
	e.N, e.Errs = stored.N, stored.Errs
	if stored.Dependence.Valid() {
		e.Dependence = stored.Dependence
	}
	return true
}

// Valid reports whether the counts are possible.
func (r Stretch) Valid() bool { return r.N >= 0 && r.Errs >= 0 && r.Errs <= r.N }

// reaches reports whether meanExp is at least a bound. It usually decides without computing meanExp, because a mean is
// never above its largest term, and clusters only reduce it.
func reaches(logs []float64, d *Dependence, p0, bound float64) bool {
	top := math.Inf(-1)
	for _, l := range logs {
		top = max(top, l)
	}
	return bound <= 0 || top >= math.Log(bound) && meanExp(logs, d.Factor(p0)) >= bound
}

// meanExp returns the mean of exp(l/factor) over logs, at most 1e300; 0 if logs is empty.
func meanExp(logs []float64, factor float64) float64 {
	if len(logs) == 0 {
		return 0
	}
	top := math.Inf(-1)
	for _, l := range logs {
		top = max(top, l)
	}
	var sum float64
	for _, l := range logs {
		if d := (l - top) / factor; d > -40 { // terms below 1e-17 of the largest do not matter
			sum += math.Exp(d)
		}
	}
	return math.Exp(min(top/factor+math.Log(sum/float64(len(logs))), 690.7))
}
