package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// Relabels by retraind's own run that lower the accuracy make no retrain due; the same corrections by people do.
func TestOwnWritesCallForNothing(t *testing.T) {
	t.Parallel()
	at := noon(t)
	worse := func() drift.Report {
		r := wrong(healthy(t), 60)
		r.MacroF1Drop = 20
		r.Category[0].Correct, r.Category[0].Recall = 30, .3
		return r
	}
	for name, when := range map[string]policy.Conditions{
		"accuracy_below": {AccuracyBelow: below(.85)},
		"accuracy_drop":  {AccuracyDrop: &policy.AccuracyDrop{Points: 3}},
		"macro_f1_drop":  {MacroF1Drop: &policy.MacroF1Drop{Points: 5}},
		"category_recall_below.sport": {CategoryRecallBelow: &policy.CategoryRecall{
			Category: map[string]unit.Percent{"sport": .7}, MinItems: 30,
		}},
		"when": {When: &policy.When{Expression: "accuracy < 0.85 or drop > 0.03 or correct < 250 or macro_f1_drop > 0.1 or worst_recall < 0.5"}},
	} {
		c := policy.Defaults()
		c.RetrainWhen = when
		p := compile(t, c, time.UTC)
		people := worse()
		if d := p.Decide(people, policy.History{}, at); d.Verdict != policy.VerdictRetrain {
			t.Errorf("%s: corrections by people: %s: %s", name, d.Verdict, d.Text)
		}
		own := worse()
		own.Relabels = healthy(t).Relabels
		people = healthy(t)
		own.People = &people.Figures
		d := p.Decide(own, policy.History{}, at)
		if d.Verdict != policy.VerdictHold || d.Conditions[0].Tripped {
			t.Errorf("%s: own writes: %s: %s", name, d.Verdict, d.Text)
		}
		if name != "when" && !strings.Contains(d.Conditions[0].Text, "not counting labels written by retraind's own runs") {
			t.Errorf("%s: %q", name, d.Conditions[0].Text)
		}
	}
}
