package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/retraind/retraind/policy"
)

func TestFormatErrorsAbove(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.RetrainWhen = policy.Conditions{FormatErrorsAbove: &policy.FormatErrorsAbove{Share: .02, Pipeline: "full"}}
	c.UrgentWhen = policy.Conditions{}
	p := compile(t, c, zone(t, "Europe/Berlin"))
	for errors, want := range map[int]struct {
		state policy.State
		text  string
	}{
		0:  {policy.StatePass, "0 of 1000 answers are unusable, not more than 2"},
		20: {policy.StatePass, "20 of 1000 answers are unusable, not more than 2"},
		21: {policy.StateFail, "21 of 1000 answers are unusable, more than 2"},
	} {
		r := healthy(t)
		r.Scored, r.FormatErrors = 1000, errors
		d := p.Decide(r, policy.History{}, noon(t))
		got := d.Conditions[0]
		if got.State != want.state || !strings.HasPrefix(got.Text, want.text) || (d.Pipeline == "full") != got.Tripped {
			t.Errorf("%d: %s %q, pipeline %q; want %v", errors, got.State, got.Text, d.Pipeline, want)
		}
		var shown strings.Builder
		if err := d.Render(&shown, policy.RenderOptions{}); err != nil || !strings.Contains(shown.String(), "trips above 2.0%") {
			t.Errorf("%v: %s", err, shown.String())
		}
	}
	// Policies without this condition keep their digest.
	if b, err := json.Marshal(policy.Conditions{}); err != nil || strings.Contains(string(b), "Format") {
		t.Errorf("%s, %v", b, err)
	}
}
