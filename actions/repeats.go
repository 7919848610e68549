package actions

// Repeats is how often a language model gives the same answer when it is asked twice.
type Repeats struct {
	Asked int `json:"asked"`
	Same  int `json:"same"`
}

const (
	// repeatMargin is how much less often than it repeats itself a served model may answer as its artifact did.
	repeatMargin = 0.02
	// leastParity is asked for however seldom a model repeats itself: below it nothing would be proved.
	leastParity = 0.5
)

// Share is the share of equal answers.
func (r Repeats) Share() float64 {
	if r.Asked == 0 {
		return 1
	}
	return float64(r.Same) / float64(r.Asked)
}

// Parity returns the share of equal answers by which a served language model is verified: the configured one, or how
// often it repeats itself less a margin, if that is less. No model can agree with it more often than it agrees with
// itself.
func (r Repeats) Parity(configured float64) float64 {
	return min(configured, max(r.Share()-repeatMargin, leastParity))
}
