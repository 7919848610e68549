package actions

// Repeats counts how often a language model gave the same answer to a repeated request.
type Repeats struct {
	Asked int `json:"asked"`
	Same  int `json:"same"`
}

const (
	// repeatMargin is how far a deployed model's agreement with its artifact may be below the model's repeatability.
	repeatMargin = 0.02
	// leastParity is the lower limit of Parity: a lower agreement would verify nothing.
	leastParity = 0.5
)

// Share returns the share of equal answers, 1 if nothing was asked.
func (r Repeats) Share() float64 {
	if r.Asked == 0 {
		return 1
	}
	return float64(r.Same) / float64(r.Asked)
}

// Parity returns the required share of equal answers for the verification of a language model: the configured one, or
// the model's repeatability less a margin if that is lower. No model can agree with the artifact more often than with
// itself.
func (r Repeats) Parity(configured float64) float64 {
	return min(configured, max(r.Share()-repeatMargin, leastParity))
}
