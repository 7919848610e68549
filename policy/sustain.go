package policy

import (
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
)

// sustain keeps a condition from flapping. It defines how long a breach must last before the condition trips, and how
// far, in the condition's unit, the value must return past the bound before the condition clears. The history that
// this needs is in the conditions of the previous decision.
type sustain struct {
	lasts  time.Duration
	margin float64
}

// rounding is more than the error of a computed Distance: 0.94-0.93 is less than 0.01.
const rounding = 1e-9

func lasting(d unit.Duration, margin float64) sustain { return sustain{d.D(), margin} }

// hold combines a judged condition with its state in the previous decision; before is nil if there is none.
//
// A condition that cannot be judged now does not trip, but keeps Since and Latched, because an unreachable service
// neither confirms a breach nor ends it.
func (s *sustain) hold(c, before *Condition, now time.Time) {
	var since time.Time
	latched := false
	if before != nil {
		since, latched = before.Since, before.Latched
	}
	switch {
	case c.State == StateInconclusive && !c.Breached:
		c.Since, c.Latched = since, latched
	case latched && !c.Tripped && c.Distance < s.margin-rounding:
		c.Tripped, c.Latched, c.State, c.Since = true, true, StateFail, since
	case c.Tripped:
		c.Since, c.Latched = now, s.margin > 0
		if !since.IsZero() && since.Before(now) {
			c.Since = since
		}
		if !latched && now.Sub(c.Since) < s.lasts {
			c.Tripped, c.Latched, c.State, c.Trips = false, false, StateInconclusive, c.Since.Add(s.lasts)
		}
	}
}

// explain returns a condition's sentence, including what delays its tripping or clearing, and sets how many more labels
// would trip the condition.
func (n *named) explain(r *drift.Report, now time.Time, c *Condition) string {
	if n.lasts == 0 && n.margin == 0 {
		return n.condition.explain(r, now, c)
	}
	figures := Condition{Name: c.Name, Config: c.Config, Unit: c.Unit}
	n.judge(r, now, &figures)
	out := n.condition.explain(r, now, &figures)
	c.Labels = figures.Labels
	switch {
	case !c.Trips.IsZero():
		out += ", for " + text.Span(now.Sub(c.Since)) + "; it trips after " + text.Span(n.lasts)
	case c.Tripped && !figures.Tripped:
		c.Labels = 0
		out += "; it tripped before and clears at " + c.clears(n.margin)
	}
	return out
}

// clears describes the value at which a tripped condition clears.
func (c *Condition) clears(margin float64) string {
	if strings.Contains(c.Name, "_below") {
		return c.Unit.text(c.Bound + margin)
	}
	return c.Unit.text(c.Bound - margin)
}

// memory is the previous decision, if it was about the same release.
type memory struct {
	last *Decision
	same bool // it was made by the same policy
}

func (p *Policy) memory(last *Decision, release string) memory {
	if last == nil || last.Release != release {
		return memory{}
	}
	return memory{last: last, same: last.PolicyDigest == p.digest}
}

// of returns a condition's entry in the previous decision, nil if its bound or unit has changed since. An edit of one
// rule therefore does not reset the state of the others, except that any edit of the policy resets `when`, whose bound
// is always the same.
func (m memory) of(c *Condition) *Condition {
	if m.last == nil {
		return nil
	}
	for i := range m.last.Conditions {
		was := &m.last.Conditions[i]
		if was.Config == c.Config {
			if m.same || was.Bound == c.Bound && was.Unit == c.Unit && c.Unit != UnitNone {
				return was
			}
			return nil
		}
	}
	return nil
}

// sustained returns the `for` durations of conditions, by key.
func (c Conditions) sustained() map[string]unit.Duration {
	all := map[string]unit.Duration{}
	if c.AccuracyBelow != nil {
		all["accuracy_below"] = c.AccuracyBelow.For
	}
	if c.AccuracyDrop != nil {
		all["accuracy_drop"] = c.AccuracyDrop.For
	}
	if c.MacroF1Drop != nil {
		all["macro_f1_drop"] = c.MacroF1Drop.For
	}
	if c.CategoryRecallBelow != nil {
		all["category_recall_below"] = c.CategoryRecallBelow.For
	}
	if c.CategoryRecallDrop != nil {
		all["category_recall_drop"] = c.CategoryRecallDrop.For
	}
	if c.LabelChanges != nil {
		all["label_changes"] = c.LabelChanges.For
	}
	if c.NewCategory != nil {
		all["new_category"] = c.NewCategory.For
	}
	if c.FormatErrorsAbove != nil {
		all["format_errors_above"] = c.FormatErrorsAbove.For
	}
	if c.LabelShift != nil {
		all["label_shift"] = c.LabelShift.For
	}
	if c.When != nil {
		all["when"] = c.When.For
	}
	return all
}
