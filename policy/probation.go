package policy

import (
	"strconv"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// Probation rolls back a new release when new labels show it to be worse than the gate measured. It may be written
// as the time alone.
type Probation struct {
	// For is how long after a promotion new labels are tested; default 24h.
	For unit.Duration `yaml:"for"`
	// FalseRollbacks is the probability that a release is rolled back although it is as good as the gate measured;
	// default 5%.
	FalseRollbacks unit.Percent `yaml:"false_rollbacks"`
}

// SetDefaults sets a day, and a chance of 5% for a false rollback.
func (p *Probation) SetDefaults() { *p = Probation{For: unit.Duration(day), FalseRollbacks: 0.05} }

// YAMLForm accepts 24h as a short form of {for: 24h}.
func (p *Probation) YAMLForm(form string) any {
	return formOf(form, &p.For, (*probationKeys)(p))
}

type probationKeys Probation

// longestProbation is the maximum length of a probation. After a longer time the previous release is no longer a
// reasonable fallback.
const longestProbation = 90 * day

func (p *Probation) validate() (found check.Problems) {
	switch d := p.For.D(); {
	case d < 0:
		notNegative(&found, "for", p.For)
	case d == 0:
		found.Errorf("for", "write 24h, or remove the section probation to disable it", "no label can arrive within %s", p.For)
	case d > longestProbation:
		found.Errorf("for", "write 7d or less; accuracy_drop covers later changes", "%s is more than %s", p.For,
			unit.Duration(longestProbation))
	}
	if s := p.FalseRollbacks; !(s >= 0.0001 && s <= 0.5) {
		found.Errorf("false_rollbacks", "write 5%", "%s is not between 0.01%% and 50%%", s)
	}
	return found
}

// Trial is the state of a release's probation, and the release to roll back to.
type Trial struct {
	drift.OnProbation
	Former string // digest of the previous release
	Lost   string // why a rollback to Former is impossible, in a few words; empty if it is possible
}

const nameProbation = "probation"

// trial returns the state of the current probation, nil if the policy has none or if it is over.
func (p *Policy) trial(h *History, now time.Time) *Trial {
	if h.Probation == nil || p.config.Probation == nil || h.Probation.Over(now) {
		return nil
	}
	return h.Probation
}

// rollsBack reports whether the probation failed and a rollback is possible.
func (t *Trial) rollsBack() bool { return t != nil && t.Crossed && t.Lost == "" }

// condition returns the trial as a condition that makes a rollback due, never a retrain.
func (t *Trial) condition() Condition {
	c := Condition{
		Name: nameProbation, Config: nameProbation, State: StatePass, Value: t.E, Bound: t.Bound, Distance: t.Bound - t.E,
		Unit: UnitEvidence, Labels: -1,
	}
	switch {
	case t.Crossed:
		c.State, c.Breached, c.Tripped = StateFail, true, t.Lost == ""
	case t.N == 0:
		c.State = StateInconclusive
	}
	if c.Tripped {
		c.Labels = 0
	}
	return c
}

// explain describes the state of the probation.
func (t *Trial) explain(now time.Time, loc *time.Location) string {
	if t.Crossed {
		out := "the probation since " + text.Clock(t.Since, now, loc) + " failed: " + t.figures() +
			"; evidence that the release is worse (e-value): " + number(t.E, 1) + ", threshold " + number(t.Bound, 0)
		if t.Lost != "" {
			out += "; the release cannot be rolled back: " + t.Lost
		}
		return out
	}
	out := "on probation since " + text.Clock(t.Since, now, loc) + " until " + text.Clock(t.Until, now, loc) + ": "
	if t.N == 0 {
		return out + "no new item yet"
	}
	return out + t.figures() + "; evidence that the release is worse (e-value): " + number(t.E, 1) +
		", it is rolled back at " + number(t.Bound, 0)
}

func (t *Trial) figures() string {
	return strconv.Itoa(t.Errors) + " of " + text.Plural(t.N, "new item") +
		" (" + text.Percent(float64(t.Errors)/float64(max(1, t.N))) +
		choose(t.N == 1, ") is", ") are") + " answered wrongly, " + text.Percent(t.Tolerated) + " are allowed"
}

// blockRollback lists everything that prevents a rollback from starting. A rollback trains nothing and needs no GPU, so
// quiet hours and limits do not apply.
func (p *Policy) blockRollback(d *Decision, r *drift.Report, h *History, now time.Time) {
	switch r.State { // without the champion's answers the proof of the restored release is impossible
	case drift.StateAsleep:
		d.block(ReasonServiceAsleep, time.Time{}, stateText(r))
	case drift.StateForeign:
		d.block(ReasonForeign, time.Time{}, stateText(r))
	case drift.StateError:
		d.block(ReasonEvaluationFailed, time.Time{}, stateText(r))
	}
	if h.Active != "" {
		d.block(ReasonRunActive, time.Time{}, "run "+h.Active+" is still active")
	}
	p.blockHold(d, h.Held, ReasonHeld, "held", now)
	p.blockHold(d, h.Paused, ReasonPaused, "paused", now)
	p.blockHold(d, h.Stopped, ReasonPaused, everyPaused, now)
}

// rollbackText describes a rollback that starts or waits.
func (d *Decision) rollbackText(t *Trial) string {
	to := text.Digest(t.Former)
	if len(d.Blocked) == 0 {
		return "rolling back to " + to + ": " + d.probation().Text
	}
	return "a rollback to " + to + " is due (" + d.probation().Text + ") and waits: " + d.Blocked[0].Text
}

// Probation returns the state of the release's probation in one sentence; empty if there is none.
func (d Decision) Probation() string {
	if c := d.probation(); c != nil {
		return c.Text
	}
	return ""
}
