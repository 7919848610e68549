package status

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
)

type explainView struct {
	Verdict   string
	Text      string
	Rows      []rowView
	BlockedBy string
	Blocked   []string
	At        timeView
}

// rowView is one condition with its present value.
type rowView struct {
	Class, Mark, Name, Note string
	Value, Bound, Distance  string
}

// explain returns the view of the last decision, nil if the model has no decision yet.
func (p page) explain(ctx context.Context, now time.Time, model string) (*explainView, error) {
	d, err := p.backend.Explain(ctx, model, "", time.Time{})
	if errors.Is(err, ErrNotFound) {
		return nil, nil //nolint:nilnil // a page without the section, not a fault
	}
	if err != nil {
		return nil, err
	}
	return newExplainView(now, d), nil
}

func newExplainView(now time.Time, d policy.Decision) *explainView {
	v := &explainView{Verdict: string(d.Verdict), Text: text.Capital(d.Text), At: newTime(now, d.At)}
	for _, c := range d.Conditions {
		if c.Unit == policy.UnitEvidence { // not a condition for a retrain: the probation has its own figure
			continue
		}
		v.Rows = append(v.Rows, newRow(c))
	}
	for _, b := range d.Blocked {
		text := text.Capital(b.Text)
		if at := clock(now, b.Until); at.Text != "" {
			text += " (until " + at.Text + ")"
		}
		v.Blocked = append(v.Blocked, text)
	}
	v.BlockedBy = "If a retrain became due, it could not start now:"
	if d.Armed() || d.Verdict == policy.VerdictRollback {
		v.BlockedBy = "It waits because:"
	}
	return v
}

// newRow returns the row of a condition. A condition that could not be evaluated has no figure, not even a zero.
func newRow(c policy.Condition) rowView {
	r := rowView{
		Class: "no", Mark: "no", Name: conditionName(c), Note: c.Text,
		Value: amount(c.Value, c.Unit), Bound: amount(c.Bound, c.Unit), Distance: distance(c),
	}
	unjudged := c.State == policy.StateInconclusive && !c.Breached
	switch {
	case c.Tripped:
		r.Class, r.Mark = "yes", "yes"
	case unjudged:
		r.Class, r.Mark, r.Value, r.Distance = "unknown", "not judged", "", ""
	case c.State == policy.StateInconclusive:
		r.Class, r.Mark = "unknown", "not certain yet"
	}
	if c.Unit == policy.UnitNone {
		r.Value = ""
	}
	if c.Unit == policy.UnitNone || unjudged && c.Bound == 0 {
		r.Bound = ""
	}
	return r
}

// conditionName returns a condition's name for people. It marks conditions of urgent_when, because retrain_when may
// have one of the same name.
func conditionName(c policy.Condition) string {
	name := strings.ReplaceAll(c.Name, "_", " ")
	if strings.HasPrefix(c.Config, "urgent_when.") {
		return "urgent: " + name
	}
	return name
}

// amount formats a figure with its unit.
func amount(f float64, unit policy.Unit) string {
	switch unit {
	case policy.UnitShare:
		return text.Percent(f)
	case policy.UnitPoints:
		return strconv.FormatFloat(f, 'f', 1, 64) + " pts"
	case policy.UnitHours:
		return text.Elapsed(time.Duration(f * float64(time.Hour)))
	case policy.UnitPSI:
		return strconv.FormatFloat(f, 'f', 3, 64)
	default:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
}

// distance returns how far a condition is from tripping, in labels if the policy knows that.
func distance(c policy.Condition) string {
	switch {
	case c.Tripped:
		return ""
	case c.Labels > 0:
		return text.Plural(c.Labels, "more label")
	case c.Unit == policy.UnitNone:
		return ""
	case c.Distance < 0:
		return "beyond the bound"
	case c.Unit == policy.UnitShare:
		return fmt.Sprintf("%.1f pts", 100*c.Distance)
	default:
		return amount(c.Distance, c.Unit)
	}
}
