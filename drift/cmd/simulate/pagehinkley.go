package main

// The defaults that were published with the implementation in River.
const (
	phWarmUp = 30
	phDelta  = 0.005
	phLambda = 50
	phAlpha  = 0.9999
)

// pageHinkley is the test of Page (1954) and Hinkley (1971) for a rise of the mean, with River's defaults: with m the
// running mean of all observations,
//
//	S = max(0, 0.9999 S + x - m - 0.005)
//
// and an alarm at S >= 50 after 30 observations. The threshold is a number of errors in excess, so it takes about
// as many to alarm, however small the stream.
type pageHinkley struct {
	n, errs int
	s       float64
}

// add takes one observation, in commit order, and reports whether it alarms. After an alarm it restarts.
func (h *pageHinkley) add(isError bool) bool {
	h.n++
	x := 0.0
	if isError {
		h.errs++
		x = 1
	}
	h.s = max(0, phAlpha*h.s+x-float64(h.errs)/float64(h.n)-phDelta)
	if h.n >= phWarmUp && h.s >= phLambda {
		*h = pageHinkley{}
		return true
	}
	return false
}
