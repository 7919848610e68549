package drift

// The defaults that were published with the implementation in River.
const (
	phWarmUp = 30
	phDelta  = 0.005
	phLambda = 50
	phAlpha  = 0.9999
)

// PageHinkley is the test of Page (1954) and Hinkley (1971) for a rise of the mean, with River's defaults: with m the
// running mean of all observations,
//
//	S = max(0, 0.9999 S + x - m - 0.005)
//
// and an alarm at S >= 50 after 30 observations. The threshold is a number of errors in excess, so it takes about
// as many to alarm, however small the stream.
type PageHinkley struct {
	N    int     `json:"n"`
	Errs int     `json:"errors"`
	S    float64 `json:"s"`
}

// Add takes one observation, in commit order, and says whether it alarms. After an alarm it starts anew.
func (h *PageHinkley) Add(isError bool) bool {
	h.N++
	x := 0.0
	if isError {
		h.Errs++
		x = 1
	}
	h.S = max(0, phAlpha*h.S+x-float64(h.Errs)/float64(h.N)-phDelta)
	if h.N >= phWarmUp && h.S >= phLambda {
		*h = PageHinkley{}
		return true
	}
	return false
}

func (h *PageHinkley) valid() bool { return isRun(Run{h.N, h.Errs}) && h.S >= 0 && h.S < 2*phLambda }
