package classifier

import "math"

// Calibration compares confidence with accuracy: four of five answers with a confidence of 0.8 should be right.
type Calibration struct {
	n          int
	count      [bins]float64
	right      [bins]float64
	confidence [bins]float64
}

const bins = 10

// Add adds one answer.
func (c *Calibration) Add(confidence float64, right bool) {
	b := max(0, min(int(confidence*bins), bins-1))
	c.n++
	c.count[b]++
	c.confidence[b] += confidence
	if right {
		c.right[b]++
	}
}

// Error returns the expected calibration error. It divides the answers into ten equal ranges of confidence, and
// averages the distances between accuracy and mean confidence, weighted by the numbers of answers (Naeini, Cooper and
// Hauskrecht 2015). With few answers, the error is some hundredths by chance alone; without answers it is 0.
func (c *Calibration) Error() float64 {
	var sum float64
	for b := range c.count {
		sum += math.Abs(c.right[b] - c.confidence[b])
	}
	return sum / float64(max(c.n, 1))
}

// The range in which temperatures are searched.
const (
	coldest = 0.25
	hottest = 4.0
)

// temperature returns the number by which outputs are divided so that the cross-entropy of the validation examples is
// minimal (Guo, Pleiss, Sun and Weinberger 2017). As a function of the temperature's logarithm the loss has one
// minimum, which a golden-section search finds between coldest and hottest.
func (h Head) temperature(outputs [][]float64, truths []truth) float64 {
	z := make([]float64, len(h.Categories))
	loss := func(log float64) (sum float64) {
		h.Temperature = math.Exp(log)
		for i, out := range outputs {
			copy(z, out)
			h.probabilities(z)
			sum += h.loss(z, truths[i])
		}
		return sum
	}
	const golden = 0.6180339887498949
	a, b := math.Log(coldest), math.Log(hottest)
	x, y := b-golden*(b-a), a+golden*(b-a)
	fx, fy := loss(x), loss(y)
	for b-a > 0.01 {
		if fx <= fy {
			b, y, fy = y, x, fx
			x = b - golden*(b-a)
			fx = loss(x)
		} else {
			a, x, fx = x, y, fy
			y = a + golden*(b-a)
			fy = loss(y)
		}
	}
	return math.Exp((a + b) / 2)
}
