package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// A shadow is the model's policy, except for the sections that it sets.
func TestShadowOver(t *testing.T) {
	t.Parallel()
	c := config(t)
	limits := policy.Limits{Cooldown: unit.Duration(hour)}
	want := c
	want.Limits = limits
	if diff := cmp.Diff(want, policy.ShadowConfig{Limits: &limits}.Over(c)); diff != "" {
		t.Error(diff)
	}
	if p := (policy.ShadowConfig{}).Validate(c, time.UTC); len(p) != 1 || p[0].Warning {
		t.Errorf("an empty shadow: %v", p)
	}
	limits.Breaker = -1
	if p := (policy.ShadowConfig{Limits: &limits}).Validate(c, time.UTC); len(p) != 1 || p[0].Path != "limits.breaker" {
		t.Errorf("a broken shadow: %v", p)
	}
}

// Each difference is counted once, however often it is evaluated, even over restarts; the shadow has its own limits.
func TestShadowDifferences(t *testing.T) {
	t.Parallel()
	careful, bold := compile(t, always(t, 20), time.UTC), compile(t, always(t, 3), time.UTC)
	now, s, counted := noon(t), policy.Shadow{}, 0
	look := func(r drift.Report, h policy.History) bool {
		t.Helper()
		d := careful.Decide(r, h, now)
		next, began := s.Beside(bold, &d, func(h policy.History) policy.Decision { return bold.Decide(r, h, now) }, h, now)
		text, err := json.Marshal(next) // a restart
		if err != nil {
			t.Fatal(err)
		}
		s = policy.Shadow{}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		if began {
			counted++
		}
		now = now.Add(20 * time.Minute)
		return s.Differs()
	}
	if look(healthy(t), policy.History{}) {
		t.Error("they differ over a healthy model")
	}
	for range 3 { // the shadow would start, and then wait for its cooldown of an hour
		if !look(wrong(healthy(t), 30), policy.History{}) {
			t.Error("they do not differ")
		}
	}
	if counted != 1 || s.Differences != 1 || s.Would != policy.DoingWait || len(s.Starts) != 1 {
		t.Errorf("%d counted: %+v", counted, s)
	}
	look(wrong(healthy(t), 30), policy.History{}) // the cooldown is over: it would start again
	if counted != 2 || s.Would != policy.DoingStart || len(s.Starts) != 2 {
		t.Errorf("%d counted: %+v", counted, s)
	}
	if look(healthy(t), policy.History{}) {
		t.Error("they still differ")
	}
	look(healthy(t), policy.History{Force: &policy.Force{By: "ann"}})
	if counted != 2 {
		t.Error("a forced run counts as a difference")
	}
}

// always returns a policy with one condition and no quiet hours.
func always(t *testing.T, points float64) policy.Config {
	c := policy.Defaults()
	c.RetrainWhen.AccuracyDrop = &policy.AccuracyDrop{Points: unit.Points(points)}
	c.Limits.Cooldown = unit.Duration(hour)
	c.Limits.Budget = unit.Rate{}
	return c
}
