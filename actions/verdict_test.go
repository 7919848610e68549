package actions

import (
	"testing"

	"github.com/retraind/retraind/store"
)

// The event model.rejected names what refused the candidate.
func TestVerdictNamesWhatDecided(t *testing.T) {
	t.Parallel()
	unusable := facts(100, 10, 0)
	unusable.FormatErrors = 50
	target := facts(181, 20, 0)
	target.Targets = []TargetFacts{{
		Name: "aks", N: 181, Candidate: Score{Correct: 154, Accuracy: 154.0 / 181}, Champion: &Score{Correct: 181, Accuracy: 1},
		Losses: 27,
	}}
	for want, f := range map[string]GateFacts{
		"format_errors": unusable, "targets.aks": target, "not_worse": facts(500, 10, 60),
	} {
		f, class, why := Judge(PromoteConfig{}.WithDefaults(), f, "sha256:old")
		if got := verdict(f, nil, why); class != store.StepRejected || got.Name != want || got.Detail != why {
			t.Errorf("%s: %s, %+v", want, class, got)
		}
	}
}
