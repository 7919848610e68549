package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// normalQuantile returns the quantile of the standard normal distribution.
func normalQuantile(p float64) float64 {
	return distuv.UnitNormal.Quantile(p)
}

// z95 is the two-sided 95% normal quantile.
const z95 = 1.959963984540054

// Wilson returns the 95% score interval of a share, k of n (Wilson 1927). With n = 0 it is (0, 1).
func Wilson(k, n int) (low, high float64) {
	return wilson(k, n, z95)
}

// WilsonLevel returns the interval of Wilson at a confidence level such as 0.9.
func WilsonLevel(k, n int, level float64) (low, high float64) {
	return wilson(k, n, normalQuantile(0.5+level/2))
}

func wilson(k, n int, z float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	nf := float64(n)
	p := float64(k) / nf
	z2 := z * z
	middle := (p + z2/(2*nf)) / (1 + z2/nf)
	half := z / (1 + z2/nf) * math.Sqrt(p*(1-p)/nf+z2/(4*nf*nf))
	low, high = middle-half, middle+half
	// For k = 0 and k = n an end is exactly 0 or 1; floating point would leave a difference of 1e-17.
	if k <= 0 || low < 0 {
		low = 0
	}
	if k >= n || high > 1 {
		high = 1
	}
	return low, high
}

// ClopperPearson returns the exact interval of a share (Clopper and Pearson 1934) at a confidence level such as
// 0.95. With n = 0 it is (0, 1).
func ClopperPearson(k, n int, level float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	tail := (1 - level) / 2
	low, high = 0, 1
	if k > 0 {
		low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), tail)
	}
	if k < n {
		high = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-tail)
	}
	return low, high
}
