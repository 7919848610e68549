package stats

import "gonum.org/v1/gonum/mathext"

// ChiSquare is Pearson's test that two label mixes are samples of the same distribution.
type ChiSquare struct {
	Statistic float64 `json:"statistic"`
	Freedom   int     `json:"freedom"` // degrees of freedom; 0 if there is too little data
	P         float64 `json:"p"`       // 1 if there is too little data
	Pooled    int     `json:"pooled"`  // categories that were too rare to test separately and were merged
}

// leastExpected is the expected count below which the normal approximation of a cell is too coarse (Cochran 1954).
const leastExpected = 5

// NewChiSquare compares two label mixes. It sums (observed - expected)^2 / expected over a table with the two mixes as
// rows and the categories as columns. Categories with an expected count below five in either mix are merged.
func NewChiSquare(reference, current map[string]int) ChiSquare {
	a, b := float64(total(reference)), float64(total(current))
	if a == 0 || b == 0 {
		return ChiSquare{P: 1}
	}
	var columns [][2]float64
	var rest [2]float64
	out := ChiSquare{P: 1}
	for _, c := range union(reference, current) {
		x, y := float64(max(reference[c], 0)), float64(max(current[c], 0))
		if (x+y)*min(a, b)/(a+b) < leastExpected {
			rest[0], rest[1] = rest[0]+x, rest[1]+y
			out.Pooled++
			continue
		}
		columns = append(columns, [2]float64{x, y})
	}
	if rest[0]+rest[1] > 0 {
		columns = append(columns, rest)
	}
	if len(columns) < 2 {
		return out
	}
	for _, c := range columns {
		for i, n := range [2]float64{a, b} {
			expected := (c[0] + c[1]) * n / (a + b)
			out.Statistic += (c[i] - expected) * (c[i] - expected) / expected
		}
	}
	out.Freedom = len(columns) - 1
	out.P = mathext.GammaIncRegComp(float64(out.Freedom)/2, out.Statistic/2)
	return out
}
