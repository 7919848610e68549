package actions

// Repeats is the number of equal answers of a language model to repeated requests.
type Repeats struct {
	Asked int `json:"asked"`
	Same  int `json:"same"`
}

const (
	// repeatMargin is how much lower than its repeatability the agreement of a deployed model with its artifact may be.
	repeatMargin = 0.02
	// leastParity is the lower limit of Parity: a lower agreement would verify nothing.
	leastParity = 0.5
)

// Share is the share of equal answers.
func (r Repeats) Share() float64 {
	if r.Asked == 0 {
		return 1
	}
	return float64(r.Same) / float64(r.Asked)
}

// Parity returns the required share of equal answers for the verification of a language model: the configured one, or
// its repeatability less a margin if that is lower. No model can agree with the artifact more often than with itself.
func (r Repeats) Parity(configured float64) float64 {
	return min(configured, max(r.Share()-repeatMargin, leastParity))
}
