package policy_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// A condition that trips may select a pipeline; of several conditions the first one decides, and a requested pipeline
// takes precedence.
func TestPipelineThatAConditionAsksFor(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.RetrainWhen.AccuracyBelow.Pipeline = "quick"
	c.RetrainWhen.CategoryRecallBelow.Pipeline = "quick"
	c.RetrainWhen.MaxAge = &policy.MaxAge{Age: unit.Duration(30 * day), Pipeline: "full"}
	p, now := compile(t, c, time.UTC), noon(t)
	hour := time.Hour
	for _, one := range []struct {
		name   string
		change func(r *drift.Report, h *policy.History)
		want   string
	}{
		{"nothing trips", func(*drift.Report, *policy.History) {}, ""},
		{"one without a pipeline", func(r *drift.Report, _ *policy.History) { r.Labels.New = map[string]int{"x": 30} }, ""},
		{"the accuracy", func(r *drift.Report, _ *policy.History) { r.Accuracy, r.Correct = 254.0/300, 254 }, "quick"},
		{"the age", func(r *drift.Report, _ *policy.History) { r.Baseline.At = now.Add(-31 * day) }, "full"},
		{"both", func(r *drift.Report, _ *policy.History) {
			r.Accuracy, r.Correct, r.Baseline.At = 254.0/300, 254, now.Add(-31*day)
		}, "quick"},
	} {
		r, h := healthy(t), policy.History{Needs: hour, NeedsOf: map[string]time.Duration{"full": 100 * hour, "quick": hour}}
		one.change(&r, &h)
		d := p.Decide(r, h, now)
		if d.Pipeline != one.want {
			t.Errorf("%s: %q, want %q (%s)", one.name, d.Pipeline, one.want, d.Text)
		}
		tooShort := len(d.Blocked) > 0 && d.Blocked[len(d.Blocked)-1].Reason == policy.ReasonWindowTooShort
		if tooShort != (one.want == "full") {
			t.Errorf("%s: blocked by %v", one.name, d.Blocked)
		}
	}
}

// A run that was rolled back is not repeated by a condition that names its pipeline, but another pipeline may run.
func TestRolledBackPipeline(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.RetrainWhen.MaxAge = &policy.MaxAge{Age: unit.Duration(30 * day), Pipeline: "full"}
	p, now := compile(t, c, time.UTC), noon(t)
	r := healthy(t)
	r.Baseline.At = now.Add(-31 * day)
	for code, blocked := range map[string]bool{"of full": true, "of default": false} {
		d := p.Decide(r, policy.History{
			Info: "x", Code: "of default", CodeOf: map[string]string{"full": "of full"},
			Runs: []policy.RunFact{{
				ID: "r1", Started: now.Add(-9 * day), Ended: now.Add(-9 * day),
				Outcome: policy.OutcomeRolledBack, Info: "x", Code: code,
			}},
		}, now)
		got := slices.ContainsFunc(d.Blocked, func(b policy.Blocker) bool { return b.Reason == policy.ReasonNoNewInformation })
		if got != blocked || d.Pipeline != "full" {
			t.Errorf("after a run with the code %s: blocked by %v, pipeline %q", code, d.Blocked, d.Pipeline)
		}
	}
}

// The digest of a policy without pipelines is the same as before conditions could name them.
func TestAgeAloneIsWrittenAsBefore(t *testing.T) {
	t.Parallel()
	age := unit.Duration(30 * day)
	before, err := json.Marshal(age)
	if err != nil {
		t.Fatal(err)
	}
	now, err := json.Marshal(&policy.MaxAge{Age: age})
	if err != nil || string(now) != string(before) {
		t.Errorf("%s, %v, was %s", now, err, before)
	}
	full, err := json.Marshal(&policy.MaxAge{Age: age, Pipeline: "full"})
	if err != nil || string(full) == string(before) {
		t.Errorf("%s, %v", full, err)
	}
}
