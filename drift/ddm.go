package drift

import "math"

// The defaults that were published with the drift detection method.
const (
	ddmWarmUp = 30
	ddmDrift  = 3.0
)

// DDM is the drift detection method (Gama, Medas, Castillo and Rodrigues 2004) with its published defaults: after 30
// observations it remembers where error rate plus standard deviation, p + s, was least, and alarms at p + s > pmin + 3
// smin. It only sees rises. It keeps no promise about false alarms: with a constant error of 10 % about half of all
// streams of 5,000 labels alarm.
type DDM struct {
	N    int     `json:"n"`
	Errs int     `json:"errors"`
	PMin float64 `json:"p_min"`
	SMin float64 `json:"s_min"`
	Kept bool    `json:"kept"` // PMin and SMin are set
}

// Add takes one observation, in commit order, and says whether it alarms. After an alarm it starts anew.
func (d *DDM) Add(isError bool) bool {
	d.N++
	if isError {
		d.Errs++
	}
	if d.N <= ddmWarmUp {
		return false
	}
	p := float64(d.Errs) / float64(d.N)
	s := math.Sqrt(p * (1 - p) / float64(d.N))
	if !d.Kept || p+s <= d.PMin+d.SMin {
		d.PMin, d.SMin, d.Kept = p, s, true
	}
	if p+s > d.PMin+ddmDrift*d.SMin {
		*d = DDM{}
		return true
	}
	return false
}

func (d *DDM) valid() bool {
	return isRun(Run{d.N, d.Errs}) && d.PMin >= 0 && d.PMin <= 1 && d.SMin >= 0 && d.SMin <= 1
}
