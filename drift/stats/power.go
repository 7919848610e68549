package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// HalfWidth returns half the width of the 95% interval (Wilson) for k right answers of n, as a fraction; 0.5 if n is 0.
func HalfWidth(k, n int) float64 {
	low, high := Wilson(k, n)
	return (high - low) / 2
}

// ToleratedError returns the error rate up to which a release with k right answers of n does not count as worse. It is
// the upper end of the error rate's 95% interval (Wilson), so that a lucky baseline causes no alarm; 1 if n is 0.
func ToleratedError(k, n int) float64 {
	low, _ := Wilson(k, n)
	return 1 - low
}

// ScoreTest returns the one-sided p-value for the hypothesis that the second of two accuracies is not below the first.
// It is the score test with the pooled variance (Agresti, Categorical Data Analysis, 3rd ed., section 3.2.4) and Yates'
// correction,
//
//	z = (p0 - p1 - (1/n0+1/n1)/2) / sqrt(p(1-p)(1/n0+1/n1))
//
// The result is 1 if the two samples together have fewer than ten errors, because the normal approximation is then too
// inaccurate.
func ScoreTest(correct0, n0, correct1, n1 int) float64 {
	const leastErrors = 10
	errors := n0 - correct0 + n1 - correct1
	if n0 <= 0 || n1 <= 0 || errors < leastErrors || correct0+correct1 <= 0 {
		return 1
	}
	a, b := float64(n0), float64(n1)
	pooled := float64(correct0+correct1) / (a + b)
	inverse := 1/a + 1/b
	difference := float64(correct0)/a - float64(correct1)/b - inverse/2
	if difference <= 0 {
		return 1
	}
	return math.Erfc(difference/math.Sqrt(2*pooled*(1-pooled)*inverse)) / 2
}

// SmallestDrop returns the least fall of an accuracy, as a fraction, that ScoreTest detects at the given level with a
// power such as 0.8, comparing n0 items before and n1 after. It returns NaN if no fall is detected with that power.
func SmallestDrop(accuracy float64, n0, n1 int, level, power float64) float64 {
	if n0 <= 0 || n1 <= 0 || !(accuracy > 0 && accuracy <= 1) {
		return math.NaN()
	}
	a, b := float64(n0), float64(n1)
	critical, surely := normalQuantile(1-level), normalQuantile(power)
	found := func(drop float64) bool {
		now := accuracy - drop
		pooled := (a*accuracy + b*now) / (a + b)
		spread := math.Sqrt(accuracy*(1-accuracy)/a + now*(1-now)/b)
		bound := critical*math.Sqrt(pooled*(1-pooled)*(1/a+1/b)) + (1/a+1/b)/2
		return drop-bound >= surely*spread
	}
	if !found(accuracy) {
		return math.NaN()
	}
	low, high := 0.0, accuracy
	for range 40 {
		if middle := (low + high) / 2; found(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// Delay returns how quickly an ECUSUM against the tolerated rate p0 detects a constant error rate. It simulates
// streams, always with the same seed. `found` is the share of streams that reach the bound within the given number of
// labels; `median` is the median number of labels that these streams needed, 0 if there are none.
func Delay(p0, rate, bound float64, labels, streams int) (found float64, median int) {
	return delay(func() evidence { e := NewECUSUM(p0); return &e }, rate, bound, labels, streams)
}

// evidence is a test with an e-value.
type evidence interface {
	Add(isError bool)
	E() float64
}

func delay(begin func() evidence, rate, bound float64, labels, streams int) (found float64, median int) {
	rng := rand.New(rand.NewPCG(1, 2))
	var took []int
	for range streams {
		e := begin()
		for i := 1; i <= labels; i++ {
			if e.Add(rng.Float64() < rate); e.E() >= bound {
				took = append(took, i)
				break
			}
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return float64(len(took)) / float64(streams), took[len(took)/2]
}

// SmallestRise returns the least rise of an error rate that an ECUSUM detects within the given number of labels with a
// power such as 0.8. The result is a fraction, accurate to a tenth of a point; NaN if no rise is detected with that
// power.
func SmallestRise(rate, p0, bound float64, labels int, power float64) float64 {
	return smallestRise(func() evidence { e := NewECUSUM(p0); return &e }, rate, bound, labels, power)
}

// SmallestFault returns the least rise that an EProcess at level alpha detects, in the same form as SmallestRise. The
// EProcess begins with the first label. This is the sensitivity of a probation.
func SmallestFault(rate, p0, alpha float64, labels int, power float64) float64 {
	return smallestRise(func() evidence { e := NewEProcess(p0); return &e }, rate, 1/alpha, labels, power)
}

func smallestRise(begin func() evidence, rate, bound float64, labels int, power float64) float64 {
	const streams = 300
	found := func(rise float64) bool {
		share, _ := delay(begin, rate+rise, bound, labels, streams)
		return share >= power
	}
	low, high := 0.0, 1-rate
	if labels <= 0 || !(high > 0) || !found(high) {
		return math.NaN()
	}
	for high-low > 1e-3 {
		if middle := (low + high) / 2; found(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// ShiftByChance returns the probability that two label mixes, of n0 and n1 items drawn from the same distribution over
// the categories, differ by a population stability index of psi or more. PSI / (1/n0 + 1/n1) is approximately
// chi-square with one degree of freedom less than there are categories (Yurdakul 2018). The result is 0 with fewer than
// two categories and 1 without items.
func ShiftByChance(psi float64, categories, n0, n1 int) float64 {
	switch {
	case categories < 2:
		return 0
	case n0 <= 0 || n1 <= 0 || !(psi > 0):
		return 1
	}
	statistic := psi / (1/float64(n0) + 1/float64(n1))
	return mathext.GammaIncRegComp(float64(categories-1)/2, statistic/2)
}
