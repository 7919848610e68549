package stats

import "math"

// Dependence measures from a stream how strongly its errors are clustered. For several block lengths, it compares the
// numbers of errors in neighbouring blocks. Let d be the difference of two such numbers and t their sum. If errors are
// independent,
//
//	E[d² | t] = t (2m - t) / (2m - 1)
//
// for blocks of m observations (the variance of a hypergeometric draw). This is true for any error rate and any
// earlier change of it. Clusters increase the squares by the same factor as the variance of a sum over the stream.
// Clusters longer than two of the longest blocks are not detected.
type Dependence struct {
	Blocks [len(blockLengths)]Blocks `json:"blocks"`
}

// Blocks holds the counts and sums for neighbouring blocks of one length.
type Blocks struct {
	N        int     `json:"n"` // observations in the incomplete block
	Errs     int     `json:"errors"`
	Follows  bool    `json:"follows"` // there is a previous block
	Before   int     `json:"before"`  // errors in the previous block
	Whole    int     `json:"whole"`   // number of complete blocks
	Squares  float64 `json:"squares"`
	Expected float64 `json:"expected"` // expectation of Squares if errors are independent
}

// blockLengths detect clusters of a few, of some dozens, and of a hundred or more observations.
var blockLengths = [...]int{5, 25, 100}

// priorPairs is the weight, in pairs of blocks, of the initial assumption of independent errors.
const priorPairs = 5

// add adds one observation; call it in commit order.
func (d *Dependence) add(wrong int) {
	for i := range d.Blocks {
		d.Blocks[i].add(wrong, blockLengths[i])
	}
}

func (b *Blocks) add(wrong, length int) {
	b.N++
	b.Errs += wrong
	if b.N < length {
		return
	}
	if b.Follows {
		t, d := float64(b.Before+b.Errs), float64(b.Errs-b.Before)
		b.Squares += d * d
		b.Expected += t * (2*float64(length) - t) / (2*float64(length) - 1)
	}
	b.Whole++
	b.Before, b.Follows, b.N, b.Errs = b.Errs, true, 0, 0
}

// Factor returns how many observations count as one independent observation, at least 1. It is the largest ratio, over
// the block lengths, of the squares to their expectation. The ratio's standard error is subtracted, so that chance
// alone seldom raises it. p is the approximate error rate.
//
// Tests divide the logarithm of their evidence against a rate by Factor. If a stream's variance is Factor times as
// large as with independent errors, its sum of log-likelihood ratios behaves like Factor times the sum of fewer,
// independent observations (the quasi-likelihood of overdispersed counts: McCullagh and Nelder, Generalized Linear
// Models, 2nd ed., section 4.5).
func (d *Dependence) Factor(p float64) float64 {
	most := 1.0
	for i := range d.Blocks {
		b := &d.Blocks[i]
		if b.Squares <= b.Expected {
			continue
		}
		variance := float64(blockLengths[i]) * p * (1 - p)
		prior := priorPairs * 2 * variance
		ratio := (b.Squares + prior) / (b.Expected + prior)
		most = max(most, ratio-math.Sqrt((2+1/variance)/float64(b.Whole-1+priorPairs)))
	}
	return most
}

// Carry returns the initial value for the next release's stream: half of the measured sums, so that the new stream's
// measurements soon dominate.
func (d Dependence) Carry() Dependence {
	for i := range d.Blocks {
		b := &d.Blocks[i]
		*b = Blocks{Whole: b.Whole / 2, Squares: b.Squares / 2, Expected: b.Expected / 2}
		if b.Whole < 2 {
			*b = Blocks{}
		}
	}
	return d
}

// Valid reports whether the stored sums are possible.
func (d *Dependence) Valid() bool {
	for i, b := range d.Blocks {
		if !(Stretch{b.N, b.Errs}).Valid() || !(Stretch{blockLengths[i], b.Before}).Valid() || b.N >= blockLengths[i] ||
			b.Whole < 0 {
			return false
		}
		for _, sum := range [2]float64{b.Squares, b.Expected} {
			if !(sum >= 0) || math.IsInf(sum, 0) || b.Whole < 2 && sum > 0 {
				return false
			}
		}
	}
	return true
}
