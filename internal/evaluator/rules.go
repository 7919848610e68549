package evaluator

import (
	"fmt"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
)

// Rules is the configuration of a loop. A reload replaces it.
type Rules struct {
	Model  *configs.Model
	Policy *policy.Policy
	Shadow *policy.Policy // nil if none is configured
}

// NewRules compiles the rules of a configured model.
func NewRules(file *configs.File, name string) (*Rules, error) {
	p, err := file.Policy(name)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	shadow, err := file.Shadow(name)
	if err != nil {
		return nil, fmt.Errorf("model %s: shadow: %w", name, err)
	}
	return &Rules{Model: file.Models[name], Policy: p, Shadow: shadow}, nil
}

// floor returns the accuracy below which the policy retrains, 0 if none is configured.
func floor(c policy.Config) float64 {
	if b := c.RetrainWhen.AccuracyBelow; b != nil {
		return b.Share.F()
	}
	return 0
}
