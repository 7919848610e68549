package stats

import "math"

// Rise is an estimate of how far the error rate of a stream lies above that of a baseline, as fractions.
type Rise struct {
	Since    Stretch // the observations that it is estimated from
	Estimate float64 // their error rate less the baseline's
	Low      float64 // lower end of its interval: by as much it has risen at least
}

// wholeRise is the number of observations from which a stretch gets a 95 % interval. Of a shorter one, which was chosen
// among many, it is as many times wider as that of so many would be narrower.
const wholeRise = 100

// Rise estimates the rise above a baseline: of the stretches whose sum is above 0, and speaks for a rise, it takes the
// one with the largest lower end. The stretch of the largest sum alone is often a burst of a few dozen errors, and the
// longest one may reach back to long before the rate rose. Nothing where no sum is above 0.
func (e *ECUSUM) Rise(base Stretch) Rise {
	best := Rise{}
	factor := e.Factor()
	for i, l := range e.L {
		run := e.Runs[i]
		if l <= 0 || run.N == 0 {
			continue
		}
		z := z95 * math.Sqrt(factor*max(1, wholeRise/float64(run.N)))
		if low := differenceLow(run, base, z); best.Since.N == 0 || low > best.Low {
			best = Rise{Since: run, Estimate: run.Rate() - base.Rate(), Low: low}
		}
	}
	return best
}

// differenceLow is the lower end of the interval of the difference of two rates, now less then: the hybrid of their
// score intervals (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10),
//
//	d - sqrt((p1 - l1)² + (u0 - p0)²)
func differenceLow(now, then Stretch, z float64) float64 {
	low, _ := wilson(now.Errs, now.N, z)
	_, high := wilson(then.Errs, then.N, z)
	return now.Rate() - then.Rate() - math.Hypot(now.Rate()-low, high-then.Rate())
}
