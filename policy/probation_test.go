package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

func withProbation(t testing.TB) policy.Config {
	c := config(t)
	c.Probation = &policy.Probation{For: unit.Duration(day), FalseRollbacks: 0.05}
	return c
}

// trial returns the state of a probation that began two hours ago.
func trial(t testing.TB, errors, n int, crossed bool) *policy.Trial {
	since := noon(t).Add(-2 * hour)
	return &policy.Trial{
		OnProbation: drift.OnProbation{
			Probation: drift.Probation{Since: since, Until: since.Add(day), Alpha: .05},
			N:         n, Errors: errors, Tolerated: .13, E: 1.5, Bound: 20, Crossed: crossed,
		},
		Former: "sha256:0123456789abcdef",
	}
}

func TestProbation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		change  func(*policy.Config, *drift.Report, *policy.History)
		verdict policy.Verdict
		reason  policy.Reason
		blocked []policy.Reason
		text    string
	}{
		{
			name: "nothing yet", verdict: policy.VerdictHold, reason: policy.ReasonNothingTripped,
			blocked: []policy.Reason{policy.ReasonWindowClosed},
			change:  func(_ *policy.Config, _ *drift.Report, h *policy.History) { h.Probation = trial(t, 0, 0, false) },
			text:    "no retrain is needed",
		},
		{
			name: "under way", verdict: policy.VerdictHold, reason: policy.ReasonNothingTripped,
			blocked: []policy.Reason{policy.ReasonWindowClosed},
			change:  func(_ *policy.Config, _ *drift.Report, h *policy.History) { h.Probation = trial(t, 3, 40, false) },
			text:    "no retrain is needed",
		},
		{
			name: "crossed", verdict: policy.VerdictRollback, reason: policy.ReasonProbationFailed,
			change: func(*policy.Config, *drift.Report, *policy.History) {},
			text:   "rolling back to 0123456789ab: the probation since 10:00 CET failed: 12 of 30 new items (40.0%) are answered wrongly, 13.0% are allowed; evidence that the release is worse (e-value): 1.5, threshold 20",
		},
		{
			name: "before any other condition", verdict: policy.VerdictRollback, reason: policy.ReasonProbationFailed,
			change: func(_ *policy.Config, r *drift.Report, h *policy.History) {
				r.Accuracy, r.Correct = .5, 150
				h.Force = &policy.Force{By: "eve"}
			},
			text: "rolling back to 0123456789ab: the probation since",
		},
		{
			name: "limits, quiet hours and too little data do not block it", verdict: policy.VerdictRollback,
			reason: policy.ReasonProbationFailed,
			change: func(_ *policy.Config, r *drift.Report, h *policy.History) {
				r.State = drift.StateInsufficient
				for range 4 {
					h.Runs = append(h.Runs, policy.RunFact{
						ID: "x", Started: noon(t).Add(-hour), Ended: noon(t),
						Outcome: policy.OutcomeFailed,
					})
				}
			},
			text: "rolling back to",
		},
		{
			name: "a run is under way", verdict: policy.VerdictRollback, reason: policy.ReasonRunActive,
			blocked: []policy.Reason{policy.ReasonRunActive},
			change:  func(_ *policy.Config, _ *drift.Report, h *policy.History) { h.Active = "r1" },
			text:    "a rollback to 0123456789ab is due (the probation since 10:00 CET failed: 12 of 30 new items (40.0%) are answered wrongly, 13.0% are allowed; evidence that the release is worse (e-value): 1.5, threshold 20) and waits: run r1 is still active",
		},
		{
			name: "held and paused", verdict: policy.VerdictRollback, reason: policy.ReasonHeld,
			blocked: []policy.Reason{policy.ReasonHeld, policy.ReasonPaused, policy.ReasonPaused},
			change: func(_ *policy.Config, _ *drift.Report, h *policy.History) {
				h.Held, h.Paused, h.Stopped = &policy.Hold{}, &policy.Hold{}, &policy.Hold{}
			},
			text: "and waits: held",
		},
		{
			name: "the service sleeps", verdict: policy.VerdictRollback, reason: policy.ReasonServiceAsleep,
			blocked: []policy.Reason{policy.ReasonServiceAsleep},
			change:  func(_ *policy.Config, r *drift.Report, _ *policy.History) { r.State = drift.StateAsleep },
			text:    "and waits: the classifier does not answer, and serving.asleep allows that",
		},
		{
			name: "no previous release", verdict: policy.VerdictHold, reason: policy.ReasonNoFormerRelease,
			blocked: []policy.Reason{policy.ReasonWindowClosed},
			change: func(_ *policy.Config, _ *drift.Report, h *policy.History) {
				h.Probation.Lost = "there was no release before"
			},
			text: "(e-value): 1.5, threshold 20; the release cannot be rolled back: there was no release before",
		},
		{
			name: "no previous release, and a retrain is due", verdict: policy.VerdictRetrain, reason: "",
			change: func(_ *policy.Config, r *drift.Report, h *policy.History) {
				h.Probation.Lost = "there was no release before"
				r.Accuracy, r.Correct = .6, 180
			},
			text: "retraining: accuracy is 60.0%",
		},
		{
			name: "the policy no longer has one", verdict: policy.VerdictHold, reason: policy.ReasonNothingTripped,
			blocked: []policy.Reason{policy.ReasonWindowClosed},
			change:  func(c *policy.Config, _ *drift.Report, _ *policy.History) { c.Probation = nil },
			text:    "no retrain is needed",
		},
		{
			name: "its time is over", verdict: policy.VerdictHold, reason: policy.ReasonNothingTripped,
			blocked: []policy.Reason{policy.ReasonWindowClosed},
			change: func(_ *policy.Config, _ *drift.Report, h *policy.History) {
				h.Probation = trial(t, 3, 40, false)
				h.Probation.Until = noon(t)
			},
			text: "no retrain is needed",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules, r, h := withProbation(t), healthy(t), policy.History{Probation: trial(t, 12, 30, true)}
			c.change(&rules, &r, &h)
			d := compile(t, rules, zone(t, "Europe/Berlin")).Decide(r, h, noon(t))
			if d.Verdict != c.verdict || d.Reason != c.reason || !strings.Contains(d.Text, c.text) {
				t.Errorf("%s %q: %s", d.Verdict, d.Reason, d.Text)
			}
			if diff := cmp.Diff(c.blocked, reasons(d)); diff != "" {
				t.Errorf("blocked: %s", diff)
			}
			if d.RollsBack() != (c.reason == policy.ReasonProbationFailed) || d.Start() != (c.reason == "") {
				t.Errorf("rolls back: %t, starts: %t", d.RollsBack(), d.Start())
			}
		})
	}
}

func TestProbationIsExplained(t *testing.T) {
	t.Parallel()
	p := compile(t, withProbation(t), zone(t, "Europe/Berlin"))
	show := func(h policy.History) string {
		var b strings.Builder
		if err := p.Decide(healthy(t), h, noon(t)).Render(&b, policy.RenderOptions{}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct {
		trial *policy.Trial
		want  string
	}{
		{trial(t, 0, 0, false), "\nOn probation since 10:00 CET until Thu 2026-11-19 10:00 CET: no new item yet.\n"},
		{trial(t, 3, 40, false), "\nOn probation since 10:00 CET until Thu 2026-11-19 10:00 CET: 3 of 40 new items (7.5%) are answered wrongly, 13.0% are allowed; evidence that the release is worse (e-value): 1.5, it is rolled back at 20.\n"},
		{trial(t, 12, 30, true), "relevance  ROLLING BACK, as of"},
	} {
		if got := show(policy.History{Probation: c.trial}); !strings.Contains(got, c.want) {
			t.Errorf("%q is not in\n%s", c.want, got)
		}
	}
	got := show(policy.History{Probation: trial(t, 12, 30, true), Active: "r1"})
	if !strings.Contains(got, "WAITING to roll back") || !strings.Contains(got, "NO   other run") ||
		strings.Contains(got, "cooldown") {
		t.Errorf("%s", got)
	}
}

// A release that was promoted and rolled back does not close the breaker, and its rollback uses no budget. The
// cooldown counts from the rollback.
func TestLimitsAfterARollback(t *testing.T) {
	t.Parallel()
	rules := withProbation(t)
	rules.QuietHours = nil
	rules.Limits.Budget = unit.Rate{Count: 3, Per: unit.Duration(7 * day)}
	now := noon(t)
	var h policy.History
	for i := range 2 { // two nights, newest first
		end := now.Add(-time.Duration(i) * 2 * day)
		h.Runs = append(h.Runs,
			policy.RunFact{
				ID: "back" + string(rune('a'+i)), Started: end.Add(-2 * hour), Ended: end.Add(-2 * hour),
				Outcome: policy.OutcomeRolledBack, Undoes: "up" + string(rune('a'+i)), Info: "same",
			},
			policy.RunFact{
				ID: "up" + string(rune('a'+i)), Started: end.Add(-8 * hour), Ended: end.Add(-7 * hour),
				Outcome: policy.OutcomePromoted, Info: "same",
			})
	}
	h.Info = "same"
	low := healthy(t)
	low.Accuracy, low.Correct = .6, 180
	decide := func(breaker int) policy.Decision {
		rules.Limits.Breaker = breaker
		return compile(t, rules, time.UTC).Decide(low, h, now)
	}
	if diff := cmp.Diff([]policy.Reason{policy.ReasonCooldown}, reasons(decide(3))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]policy.Reason{policy.ReasonBreakerOpen, policy.ReasonCooldown}, reasons(decide(2))); diff != "" {
		t.Error(diff)
	}
	h.Info = "other labels" // labels changed: the breaker allows one run
	if diff := cmp.Diff([]policy.Reason{policy.ReasonCooldown}, reasons(decide(2))); diff != "" {
		t.Error(diff)
	}
}

func TestProbationIsValidated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    policy.Probation
		want string
	}{
		{policy.Probation{For: -1, FalseRollbacks: .05}, "probation.for"},
		{policy.Probation{FalseRollbacks: .05}, "probation.for"},
		{policy.Probation{For: unit.Duration(91 * day), FalseRollbacks: .05}, "probation.for"},
		{policy.Probation{For: unit.Duration(day)}, "probation.false_rollbacks"},
		{policy.Probation{For: unit.Duration(day), FalseRollbacks: .6}, "probation.false_rollbacks"},
		{policy.Probation{For: unit.Duration(day), FalseRollbacks: .05}, ""},
	} {
		rules := config(t)
		rules.Probation = &c.p
		var found []string
		for _, p := range rules.Validate(time.UTC) {
			if !p.Warning {
				found = append(found, p.Path)
			}
		}
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}

// A policy without a probation keeps the digest that it had before probations existed.
func TestDigestWithoutProbation(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(config(t))
	if err != nil || strings.Contains(string(b), "Probation") {
		t.Errorf("%s, %v", b, err)
	}
}
