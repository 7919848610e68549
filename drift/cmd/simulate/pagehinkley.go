package main

// The defaults that were published with the implementation in River.
const (
	phWarmUp = 30
	phDelta  = 0.005
	phLambda = 50
	phAlpha  = 0.9999
)

// pageHinkley is the test of Page (1954) and Hinkley (1971) for a rise of the mean, with River's defaults. With m the
// running mean of all observations x, it computes
//
//	S = max(0, 0.9999 S + x - m - 0.005)
//
// and alarms at S >= 50, from the 30th observation on. The threshold is a number of excess errors, so an alarm needs
// about as many of them, however short the stream is.
type pageHinkley struct {
	n, errs int
	s       float64
}

// add adds one observation and reports whether the test alarms; call it in commit order. After an alarm it restarts.
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
