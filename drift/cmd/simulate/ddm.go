package main

import "math"

// The defaults that were published with the drift detection method.
const (
	ddmWarmUp = 30
	ddmDrift  = 3.0
)

// ddm is the drift detection method (Gama, Medas, Castillo and Rodrigues 2004) with its published defaults. After 30
// observations it remembers where error rate plus standard deviation, p + s, was least, and alarms at p + s > pmin + 3
// smin. It detects only rises. It guarantees no rate of false alarms: with a constant error of 10% about half of all
// streams of 5,000 labels alarm.
type ddm struct {
	n, errs    int
	pMin, sMin float64
	kept       bool // pMin and sMin are set
}

// add adds one observation and reports whether the test alarms; call it in commit order. After an alarm it restarts.
func (d *ddm) add(isError bool) bool {
	d.n++
	if isError {
		d.errs++
	}
	if d.n <= ddmWarmUp {
		return false
	}
	p := float64(d.errs) / float64(d.n)
	s := math.Sqrt(p * (1 - p) / float64(d.n))
	if !d.kept || p+s <= d.pMin+d.sMin {
		d.pMin, d.sMin, d.kept = p, s, true
	}
	if p+s > d.pMin+ddmDrift*d.sMin {
		*d = ddm{}
		return true
	}
	return false
}
