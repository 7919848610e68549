package stats_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/retraind/retraind/drift/stats"
)

// exactSignE computes the mean of the likelihood ratios in integers: the sum over j <= b of C(n, j), n = b+c+1,
// divided by n C(b+c, b).
func exactSignE(b, c int) float64 {
	n := int64(b + c + 1)
	sum, term := new(big.Int), big.NewInt(1)
	for j := range int64(b + 1) {
		sum.Add(sum, term)
		term.Mul(term, big.NewInt(n-j)).Quo(term, big.NewInt(j+1))
	}
	below := new(big.Int).Binomial(n-1, int64(b))
	e, _ := new(big.Rat).SetFrac(sum, below.Mul(below, big.NewInt(n))).Float64()
	return e
}

// exactUpper computes P(Bin(n, 1/2) >= k) as a fraction of integers.
func exactUpper(k, n int) float64 {
	sum, term := new(big.Int), big.NewInt(1)
	for j := range n - k + 1 { // C(n, n-j) = C(n, j)
		sum.Add(sum, term)
		term.Mul(term, big.NewInt(int64(n-j))).Quo(term, big.NewInt(int64(j+1)))
	}
	p, _ := new(big.Rat).SetFrac(sum, new(big.Int).Lsh(big.NewInt(1), uint(n))).Float64()
	return p
}

// If c is much larger than b, 1 minus the incomplete beta function has no correct digit: it gave E(65, 400) = 1.7e41.
func TestSignEAgainstWholeNumbers(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]int{
		{65, 200},
		{65, 400},
		{65, 3000},
		{64, 65},
		{65, 65},
		{66, 65},
		{100, 80},
		{100, 300},
		{200, 150},
		{400, 401},
		{500, 400},
		{1000, 1000},
		{1000, 1100},
		{1, 900},
		{0, 900},
		{900, 1},
		{2000, 1800},
	} {
		want := exactSignE(row[0], row[1])
		if got := stats.SignE(row[0], row[1]); !(math.Abs(got/want-1) < 1e-10) {
			t.Errorf("E(%d, %d) = %g, want %g", row[0], row[1], got, want)
		}
	}
}

func TestSignTestAgainstWholeNumbers(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]int{
		{1, 0}, {15, 15}, {16, 15}, {70, 30}, {200, 150}, {150, 200}, {505, 495}, {1000, 1000}, {1100, 1000}, {2000, 1000},
	} {
		want := exactUpper(row[0], row[0]+row[1])
		if got := stats.SignTest(row[0], row[1]); !(math.Abs(got/want-1) < 1e-12) {
			t.Errorf("P(%d of %d) = %g, want %g", row[0], row[0]+row[1], got, want)
		}
	}
}

// Above two million pairs the normal distribution with the continuity correction is accurate to six digits and more, by
// the Edgeworth expansion: the distribution is symmetric, and its excess kurtosis is -2/n.
func TestSignTestOfMillions(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2_000_000, 2_500_000, 10_000_000, 40_000_001} {
		for _, deviations := range []float64{0, 0.001, 0.5, 1, 2.5, 4} {
			sd := math.Sqrt(float64(n)) / 2
			k := (n+1)/2 + int(deviations*sd)
			z := (float64(k) - 0.5 - float64(n)/2) / sd
			want := math.Erfc(z/math.Sqrt2) / 2
			if got := stats.SignTest(k, n-k); !(math.Abs(got/want-1) < 2e-5) {
				t.Errorf("P(%d of %d) = %.9f, want %.9f", k, n, got, want)
			}
			if both := stats.SignTest(k, n-k) + stats.SignTest(n-k+1, k-1); math.Abs(both-1) > 1e-12 {
				t.Errorf("both tails at %d of %d are %v, want 1", k, n, both)
			}
		}
	}
}
