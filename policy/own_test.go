package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/policy"
)

// A relabelling by retraind's own run that lowers the accuracy calls for no retrain; the same corrections by people do.
func TestOwnWritesCallForNothing(t *testing.T) {
	t.Parallel()
	at := noon(t)
	for name, when := range map[string]policy.Conditions{
		"accuracy_below": {AccuracyBelow: below(.85)},
		"accuracy_drop":  {AccuracyDrop: &policy.AccuracyDrop{Points: 3}},
		"when":           {When: &policy.When{Expression: "accuracy < 0.85 or drop > 0.03 or correct < 250"}},
	} {
		c := policy.Defaults()
		c.RetrainWhen = when
		p := compile(t, c, time.UTC)
		people := wrong(healthy(t), 60)
		if d := p.Decide(people, policy.History{}, at); d.Verdict != policy.VerdictRetrain {
			t.Errorf("%s: corrections by people: %s: %s", name, d.Verdict, d.Text)
		}
		own := wrong(healthy(t), 60)
		own.Relabels = healthy(t).Relabels
		own.Relabels.Own = 60
		d := p.Decide(own, policy.History{}, at)
		if d.Verdict != policy.VerdictHold || d.Conditions[0].Tripped {
			t.Errorf("%s: own writes: %s: %s", name, d.Verdict, d.Text)
		}
		if name != "when" && !strings.Contains(d.Conditions[0].Text, "not counting what retraind's own runs wrote") {
			t.Errorf("%s: %q", name, d.Conditions[0].Text)
		}
	}
}
