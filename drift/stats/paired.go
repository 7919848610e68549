package stats

import "math"

// McNemar is the result of the exact comparison of two classifiers on the same items. Only discordant items count, that
// is, items that just one of the two gets right; the others say nothing about the difference.
type McNemar struct {
	Better  float64 // one-sided: P(Bin(wins+losses, 1/2) >= wins); small = the first classifier is better
	Differ  float64 // two-sided: twice the smaller tail, at most 1
	MidP    float64 // two-sided mid-p: Differ less the probability of the observed table; closer to its nominal level
	Verdict int     // -1 more losses than wins, 0 as many, 1 more wins
}

// NewMcNemar compares two classifiers. wins counts the items that only the first gets right, losses those that only the
// second gets right. If both are 0, every p-value is 1.
func NewMcNemar(wins, losses int) McNemar {
	n := wins + losses
	if n <= 0 {
		return McNemar{Better: 1, Differ: 1, MidP: 1}
	}
	larger := max(wins, losses)
	tail := upperTail(larger, n)
	m := McNemar{
		Better: upperTail(wins, n),
		Differ: min(1, 2*tail),
		MidP:   min(1, 2*tail-halfMass(larger, n)),
	}
	switch {
	case wins > losses:
		m.Verdict = 1
	case wins < losses:
		m.Verdict = -1
	default:
		m.MidP = 1 // both tails meet in the middle
	}
	return m
}

// SignTest returns the p-value of the exact one-sided sign test, P(Bin(b+c, 1/2) >= b). It is small if b exceeds c by
// more than chance explains, and 1 if both are 0.
func SignTest(b, c int) float64 {
	if b+c <= 0 {
		return 1
	}
	return upperTail(b, b+c)
}

// SignE returns an e-value that is large if b exceeds c by more than chance explains; it may be evaluated after every
// observation. It is the mean of the likelihood ratios of all shares between 1/2 and 1 against 1/2:
//
//	E = 2^(b+c+1) B(b+1, c+1) P(Beta(b+1, c+1) > 1/2)
//
// While both outcomes are equally probable, the probability that SignE ever reaches 1/alpha is at most alpha (Ville's
// inequality). The p-value of the exact test is valid for one evaluation only: if it is evaluated after each
// correction, it falls to 0.05 sooner or later.
func SignE(b, c int) float64 {
	switch {
	case b < 0 || c < 0 || b+c == 0:
		return 1
	case b <= c:
		return signSummed(b, c)
	}
	// E(b, c) + E(c, b) = 2^(b+c+1) B(b+1, c+1), of which E(c, b) is the smaller part.
	n := b + c
	both := math.Exp(min(math.Ln2-math.Log(float64(n+1))-logHalfMass(b, n), 690))
	return both - signSummed(c, b)
}

// signSummed computes SignE for b <= c. For integers the incomplete beta function is a finite sum over j = 0..b of
// C(b+c+1, j) / ((b+c+1) C(b+c, b)). The terms are added in descending order, from j = b on. All are positive, so there
// is no cancellation.
func signSummed(b, c int) float64 {
	n := float64(b + c + 1)
	term, sum := n/float64(c+1), 0.0
	for j := float64(b); j >= 0 && term > sum*1e-17; j-- {
		sum += term
		term *= j / (n - j + 1)
	}
	return sum / n
}

// NonInferiority is the result of NonInferior.
type NonInferiority struct {
	Pass       bool    // the lower bound is above -margin
	Difference float64 // (wins - losses) / n, a fraction
	Lower      float64 // one-sided lower confidence bound of the difference at 1 - alpha
	Method     string  // wald or score
}

// waldDiscordant is the least number of discordant pairs for which the normal approximation of the difference is
// accurate enough.
const waldDiscordant = 25

// NonInferior tests, at one-sided level alpha, whether the first classifier is at most margin (a fraction, 0.01 = one
// point) worse than the second on n common items. With d = (wins-losses)/n the lower bound of the difference is
//
//	wald:  d - z sqrt(((wins+losses)/n - d^2)/n)                       from 25 discordant items on
//	score: the smallest D with (wins - losses - nD) / sqrt(n(2q + D(1-D))) <= z   with fewer
//
// Here q is the maximum likelihood estimate, given the difference D, of the share of items that only the second gets
// right (Tango 1998, Statistics in Medicine 17, 891-908). With n = 0 it does not pass.
func NonInferior(wins, losses, n int, margin, alpha float64) NonInferiority {
	if n <= 0 {
		return NonInferiority{Lower: -1, Method: "score"}
	}
	z := normalQuantile(1 - alpha)
	nf := float64(n)
	d := float64(wins-losses) / nf
	out := NonInferiority{Difference: d}
	if wins+losses >= waldDiscordant {
		out.Method = "wald"
		out.Lower = max(-1, d-z*math.Sqrt(max(0, float64(wins+losses)/nf-d*d)/nf))
	} else {
		out.Method = "score"
		out.Lower = tangoLower(wins, losses, n, z)
	}
	out.Pass = out.Lower > -margin
	return out
}

// tangoLower finds by bisection the difference at which the score statistic falls to z. The statistic falls as the
// difference grows.
func tangoLower(wins, losses, n int, z float64) float64 {
	low, high := -1.0, float64(wins-losses)/float64(n)
	for range 60 {
		middle := (low + high) / 2
		if tangoScore(wins, losses, n, middle) > z {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// tangoScore returns the score statistic for the hypothesis that the paired difference is d.
func tangoScore(wins, losses, n int, d float64) float64 {
	b, c, nf := float64(wins), float64(losses), float64(n)
	top := b - c - nf*d
	qa := 2 * nf
	qb := -b - c + (2*nf-b+c)*d
	qc := -c * d * (1 - d)
	q := (math.Sqrt(max(0, qb*qb-4*qa*qc)) - qb) / (2 * qa)
	variance := nf * (2*q + d*(1-d))
	if variance <= 0 { // only if the hypothesis allows no discordant items
		return math.Copysign(math.MaxFloat64, top)
	}
	return top / math.Sqrt(variance)
}
