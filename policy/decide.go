package policy

import (
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
)

// Decide is the verdict over a report at a time. It is pure: the same arguments give the same decision.
//
// Any tripped condition calls for a retrain; a model without a release calls for its first one. What stands in the way
// is listed in Blocked, in the order in which people would want to know. A forced retrain skips thresholds, breaker,
// budget, cooldown and quiet hours, but never another run or a hold; an urgent one skips quiet hours alone.
func (p *Policy) Decide(r drift.Report, h History, now time.Time) Decision {
	d := Decision{At: now, Model: r.Model, Verdict: VerdictHold, PolicyDigest: p.digest, Release: r.Release, Seq: r.Seq}
	d.Conditions = p.judge(&r, now)
	p.verdict(&d, &r, h)
	p.block(&d, h, now)
	d.Reason, d.Text = p.reason(&d, &r)
	return d
}

// judge evaluates every condition; figures of a report that is not whole are not evidence.
func (p *Policy) judge(r *drift.Report, now time.Time) []Condition {
	list := make([]Condition, 0, len(p.retrain)+len(p.urgent)+1)
	whole := r.State == drift.StateOK && r.Scored > 0
	for _, group := range [][]named{p.retrain, p.urgent} {
		for i := range group {
			n := &group[i]
			list = append(list, Condition{Name: n.name, Config: n.config, Unit: n.unit})
			c := &list[len(list)-1]
			if whole {
				n.judge(r, now, c)
				continue
			}
			c.unknown(0, notJudged+stateText(r))
		}
	}
	return list
}

// notJudged starts the text of a condition that waits for a report that is whole.
const notJudged = "not judged: "

func (p *Policy) verdict(d *Decision, r *drift.Report, h History) {
	call := func(name, text string) {
		first := Condition{Name: name, Config: "", State: StateFail, Tripped: true, Breached: true, Value: 1, Bound: 1, Text: text}
		d.Conditions = append([]Condition{first}, d.Conditions...)
		d.Verdict = VerdictRetrain
	}
	if r.State == drift.StateNoRelease {
		call("no_release", "no release is deployed yet")
	}
	for i := range d.Conditions {
		c := &d.Conditions[i]
		switch {
		case c.Tripped:
			d.Verdict = VerdictRetrain
			d.Urgent = d.Urgent || strings.HasPrefix(c.Config, "urgent_when.")
		case c.State == StateInconclusive && c.Breached && d.Verdict == VerdictHold:
			d.Verdict = VerdictInconclusive
		}
	}
	if d.Verdict == VerdictHold && (r.State == drift.StateUnscored || r.State == drift.StateInsufficient || r.State == drift.StateOK && r.Scored == 0) {
		d.Verdict = VerdictInconclusive
	}
	if f := h.Force; f != nil {
		d.Forced = true
		text := "forced by " + label(f.By)
		if f.By == "" {
			text = "forced"
		}
		if f.Reason != "" {
			text += ": " + label(f.Reason)
		}
		call("forced", text)
	}
}

// reason says why nothing starts, and all of it in a sentence.
func (p *Policy) reason(d *Decision, r *drift.Report) (Reason, string) {
	if d.Verdict == VerdictRetrain {
		why := d.cause()
		switch {
		case len(d.Blocked) == 0:
			return "", "retraining: " + why
		default:
			first := d.Blocked[0]
			return first.Reason, "a retrain is due (" + why + ") and waits: " + first.Text
		}
	}
	switch {
	case r.State == drift.StateAsleep:
		return ReasonServiceAsleep, "nothing is decided: " + stateText(r)
	case r.State == drift.StateError:
		return ReasonEvaluationFailed, "nothing is decided: " + stateText(r)
	case r.State != drift.StateOK || r.Scored == 0:
		return ReasonInsufficientData, "nothing can be concluded: " + stateText(r)
	case d.Verdict == VerdictInconclusive:
		for _, c := range d.Conditions {
			if c.Breached {
				return ReasonInsufficientData, "nothing can be concluded: " + c.Text
			}
		}
	}
	return ReasonNothingTripped, "no retrain is needed: " + d.nearest()
}

// cause is the first condition that tripped, and how many more did.
func (d *Decision) cause() string {
	text, more := "", 0
	for i := range d.Conditions {
		switch c := &d.Conditions[i]; {
		case !c.Tripped:
		case text == "":
			text = c.Text
		default:
			more++
		}
	}
	if more > 0 {
		text += ", and " + plural(more, "more condition")
	}
	return text
}

// nearest says which condition needs the fewest labels to trip.
func (d *Decision) nearest() string {
	var best *Condition
	for i := range d.Conditions {
		if c := &d.Conditions[i]; c.Labels > 0 && (best == nil || c.Labels < best.Labels) {
			best = c
		}
	}
	if best == nil {
		return "no condition tripped"
	}
	return "no condition tripped; " + best.Config + " is nearest, " + distanceLabels(best)
}

// distanceLabels is the distance in labels: "9 more wrong labels would trip it".
func distanceLabels(c *Condition) string {
	kind := "more wrong label"
	if c.Unit == UnitLabels || strings.HasPrefix(c.Name, "label_changes") {
		kind = "more label"
	}
	return plural(c.Labels, kind) + " would trip it"
}

func stateText(r *drift.Report) string {
	var text string
	switch r.State {
	case drift.StateNoRelease:
		return "no release is deployed yet"
	case drift.StateUnscored:
		text = "held-out texts wait for the classifier's answer"
	case drift.StateInsufficient:
		text = "only " + plural(r.Scored, "held-out item") + than(r.Scored == 1, " is scored", " are scored")
	case drift.StateAsleep:
		text = "the classifier does not answer, and it may sleep"
	case drift.StateError:
		text = "the evaluation failed"
	case drift.StateOK:
		return "no held-out item is scored"
	default:
		text = "unknown state " + string(r.State)
	}
	if r.Detail != "" { // says the same with cause and cure
		return oneLine(r.Detail, 400)
	}
	return text
}
