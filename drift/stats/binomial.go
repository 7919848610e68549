package stats

import "math"

// upperTail returns P(Bin(n, 1/2) >= k). It sums the probabilities of the smaller tail, starting with the largest term.
// The sum has about sqrt(n) terms, all positive, so there is no cancellation even for n in the millions. For such n the
// continued fraction of the incomplete beta function does not converge.
func upperTail(k, n int) float64 {
	switch {
	case k <= 0:
		return 1
	case k > n:
		return 0
	case 2*k <= n: // the lower tail P(Bin <= k-1) is P(Bin >= n-k+1); it is the smaller one
		return 1 - upperTail(n-k+1, n)
	}
	term, sum := halfMass(k, n), 0.0
	for j := k; term > sum*1e-17; j++ {
		sum += term
		term = term * float64(n-j) / float64(j+1) // exact if halfMass is
	}
	return min(sum, 1)
}

// halfMass returns P(Bin(n, 1/2) = k).
func halfMass(k, n int) float64 {
	if k < 0 || k > n {
		return 0
	}
	if n > exactChoose {
		return math.Exp(logHalfMass(k, n))
	}
	choose := 1.0
	for j := range min(k, n-k) {
		choose = choose * float64(n-j) / float64(j+1)
	}
	return math.Ldexp(choose, -n)
}

// exactChoose is the largest n for which a binomial coefficient times n is exact in a float64.
const exactChoose = 50

// logHalfMass returns the logarithm of C(n, k) / 2^n for 0 <= k <= n, computed by the saddle-point expansion of the
// binomial distribution (Loader 2000, "Fast and accurate computation of binomial probabilities"). The difference of
// three logarithms of factorials would lose ten digits at n of a million.
func logHalfMass(k, n int) float64 {
	if k == 0 || k == n {
		return -float64(n) * math.Ln2
	}
	nf, a, b := float64(n), float64(k), float64(n-k)
	d := (a - b) / nf
	deviance := a*math.Log1p(d) + b*math.Log1p(-d)
	return stirlingError(n) - stirlingError(k) - stirlingError(n-k) - deviance + math.Log(nf/(2*math.Pi*a*b))/2
}

// stirlingError returns ln n! - ln(sqrt(2 pi n) (n/e)^n) for n >= 1.
func stirlingError(n int) float64 {
	nf := float64(n)
	if n < 16 {
		f, _ := math.Lgamma(nf + 1)
		return f - (nf+0.5)*math.Log(nf) + nf - math.Log(2*math.Pi)/2
	}
	s := 1 / (nf * nf)
	return (1./12 - (1./360-(1./1260-(1./1680-s/1188)*s)*s)*s) / nf
}
