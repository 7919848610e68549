package stats

import "math"

// Rise is an estimate of how far the error rate of a stream lies above that of a baseline, as fractions.
type Rise struct {
	Since    Stretch // the observations that it is estimated from
	Estimate float64 // their error rate less the baseline's
	Low      float64 // lower end of its interval: by as much it has risen at least
}

const (
	// wholeRise is the number of observations from which a stretch gets its plain interval. Of a shorter one, which was
	// chosen among many, it is as many times wider as that of so many would be narrower.
	wholeRise = 100
	// The one-sided normal quantiles of the two intervals: 99 % of the stretch, which is the best of several and is looked
	// at again and again, 95 % of the baseline, which was measured once.
	riseNow  = 2.3263478740408408
	riseThen = 1.6448536269514722
)

// Rise estimates the rise above a baseline: of the stretches whose sum is above 0, and speaks for a rise, it takes the
// one with the largest lower end. The stretch of the largest sum alone is often a burst of a few dozen errors, and the
// longest one may reach back to long before the rate rose. Nothing where no sum is above 0.
//
// Simulated at a rise by 5 or 10 points, the lower end is above the truth at one look in about ten.
func (e *ECUSUM) Rise(base Stretch) Rise {
	best := Rise{}
	wider := math.Sqrt(e.Factor())
	_, high := wilson(base.Errs, base.N, riseThen*wider)
	for i, l := range e.L {
		run := e.Runs[i]
		if l <= 0 || run.N == 0 {
			continue
		}
		low, _ := wilson(run.Errs, run.N, riseNow*wider*math.Sqrt(max(1, wholeRise/float64(run.N))))
		r := Rise{Since: run, Estimate: run.Rate() - base.Rate()}
		// The hybrid of two score intervals (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10).
		r.Low = r.Estimate - math.Hypot(run.Rate()-low, high-base.Rate())
		if best.Since.N == 0 || r.Low > best.Low {
			best = r
		}
	}
	return best
}
