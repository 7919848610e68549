package policy

import (
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

// Decide returns the decision for a report at the time now. It is pure: the same arguments give the same decision.
//
// A retrain is due if any condition trips or if the model has no release yet. Only the condition of the probation is
// different: it makes a rollback due. Blocked lists everything that prevents the start, the most important reasons
// first. Only an active run, a hold, or a service whose answers are not the champion's blocks a forced retrain; a pause
// does not, because it blocks automatic starts only. An urgent retrain skips only quiet hours.
func (p *Policy) Decide(r drift.Report, h History, now time.Time) Decision {
	r = r.ByPeople()
	d := Decision{At: now, Model: r.Model, PolicyDigest: p.digest, Release: r.Release, Seq: r.Seq, Targets: r.Targets}
	d.Conditions = make([]Condition, 0, len(p.retrain)+len(p.urgent)+2)
	p.judge(&d, &r, &h, now)
	if d.Pipeline = p.pipeline(&d); d.Pipeline != "" && !d.Forced {
		if needs, known := h.NeedsOf[d.Pipeline]; known {
			h.Needs = needs
		}
		if code, known := h.CodeOf[d.Pipeline]; known {
			h.Code = code
		}
	}
	if r.Baseline != nil {
		d.Baseline = r.Baseline.Why
	}
	p.explain(&d, &r, &h, now)
	p.block(&d, &r, &h, now)
	d.Reason = p.reason(&d, &r)
	d.Text = p.sentence(&d, &r, p.trial(&h, now))
	return d
}

// The names of the built-in reasons for a retrain.
const (
	nameForced = "forced"
	// NameNoRelease is the condition of a model without a release.
	NameNoRelease = "no_release"
)

// judge judges every condition and sets the verdict. While the report is incomplete, it leaves configured conditions
// inconclusive, because incomplete figures are not evidence.
func (p *Policy) judge(d *Decision, r *drift.Report, h *History, now time.Time) {
	d.Verdict = VerdictHold
	if d.Forced = h.Force != nil; d.Forced {
		d.Conditions = append(d.Conditions, calling(nameForced))
	}
	if r.State == drift.StateNoRelease {
		d.Conditions = append(d.Conditions, calling(NameNoRelease))
	}
	trial := p.trial(h, now)
	if trial != nil {
		d.Conditions = append(d.Conditions, trial.condition())
	}
	whole := r.State == drift.StateOK && r.Scored > 0
	past := p.memory(h.Last, r.Release)
	for i := range p.retrain {
		d.Conditions = append(d.Conditions, p.retrain[i].settled(r, now, whole, past))
	}
	conditions := len(d.Conditions)
	for i := range p.urgent {
		d.Conditions = append(d.Conditions, p.urgent[i].settled(r, now, whole, past))
	}
	for i := range d.Conditions {
		c := &d.Conditions[i]
		switch {
		case c.Name == nameProbation, h.Mended[c.Key()]:
		case c.Tripped:
			d.Verdict = VerdictRetrain
			d.Urgent = d.Urgent || i >= conditions
		case c.State == StateInconclusive && c.Breached && c.Trips.IsZero() && d.Verdict == VerdictHold:
			d.Verdict = VerdictInconclusive
		}
	}
	if d.Verdict == VerdictHold && (r.State == drift.StateUnscored || r.State == drift.StateInsufficient ||
		r.State == drift.StateOK && r.Scored == 0) {
		d.Verdict = VerdictInconclusive
	}
	if trial.rollsBack() { // decided first: the serving release is worse than its gate measured
		d.Verdict = VerdictRollback
	}
}

// calling returns a built-in condition that has tripped.
func calling(name string) Condition {
	return Condition{Name: name, State: StateFail, Tripped: true, Breached: true, Value: 1, Bound: 1}
}

// settled judges one configured condition, and combines the result with its state in the previous decision.
func (n *named) settled(r *drift.Report, now time.Time, whole bool, past memory) Condition {
	c := Condition{Name: n.name, Config: n.config, Unit: n.unit}
	if whole {
		n.judge(r, now, &c)
	} else {
		c.unknown(0)
	}
	n.hold(&c, past.of(&c), now)
	return c
}

// notJudged is the beginning of the text of a condition that was not judged because the report is incomplete.
const notJudged = "not judged: "

// explain sets the text of each condition.
func (p *Policy) explain(d *Decision, r *drift.Report, h *History, now time.Time) {
	ours := len(d.Conditions) - len(p.retrain) - len(p.urgent)
	for i := range ours {
		switch c := &d.Conditions[i]; c.Name {
		case NameNoRelease:
			c.Text = "no release is deployed yet"
		case nameProbation:
			c.Text = p.trial(h, now).explain(now, p.windows.Location())
		default:
			c.Text = h.Force.text()
		}
	}
	whole := r.State == drift.StateOK && r.Scored > 0
	for i := range d.Conditions[ours:] {
		c := &d.Conditions[ours+i]
		switch {
		case !whole:
			c.Labels = -1
			c.Text = notJudged + stateText(r)
		case i < len(p.retrain):
			c.Text = p.retrain[i].explain(r, now, c)
		default:
			c.Text = p.urgent[i-len(p.retrain)].explain(r, now, c)
		}
	}
}

func (f *Force) text() string {
	out := "forced by " + label(f.By)
	if f.By == "" {
		out = "forced"
	}
	if f.Reason != "" {
		out += ": " + label(f.Reason)
	}
	return out
}

// reason returns why nothing starts. It is empty if a retrain may start, and probation_failed if a rollback may start.
func (p *Policy) reason(d *Decision, r *drift.Report) Reason {
	switch {
	case d.Verdict == VerdictRetrain && len(d.Blocked) == 0:
		return ""
	case d.RollsBack():
		return ReasonProbationFailed
	case d.Verdict == VerdictRetrain, d.Verdict == VerdictRollback:
		return d.Blocked[0].Reason
	case d.failedForGood():
		return ReasonNoFormerRelease
	case r.State == drift.StateForeign:
		return ReasonForeign
	case r.State == drift.StateAsleep:
		return ReasonServiceAsleep
	case r.State == drift.StateError:
		return ReasonEvaluationFailed
	case r.State != drift.StateOK, r.Scored == 0, d.Verdict == VerdictInconclusive:
		return ReasonInsufficientData
	case p.ownChanges(r):
		return ReasonSelfOrigin
	}
	return ReasonNothingTripped
}

// probation returns the condition that represents the probation, nil if there is none.
func (d *Decision) probation() *Condition {
	for i := range d.Conditions {
		if d.Conditions[i].Name == nameProbation {
			return &d.Conditions[i]
		}
	}
	return nil
}

// failedForGood reports whether a probation failed and a rollback is impossible.
func (d *Decision) failedForGood() bool {
	c := d.probation()
	return c != nil && c.Breached && !c.Tripped
}

// sentence returns the decision in one sentence.
func (p *Policy) sentence(d *Decision, r *drift.Report, trial *Trial) string {
	switch {
	case d.Verdict == VerdictRollback:
		return d.rollbackText(trial)
	case d.Start():
		return "retraining: " + d.Cause()
	case d.Armed():
		return "a retrain is due (" + d.Cause() + ") and waits: " + d.Blocked[0].Text
	case d.Reason == ReasonNoFormerRelease:
		return d.probation().Text
	case r.State == drift.StateAsleep, r.State == drift.StateError, r.State == drift.StateForeign:
		return "no decision is possible: " + stateText(r)
	case r.State != drift.StateOK, r.Scored == 0:
		return "no decision is possible: " + stateText(r)
	case d.Verdict == VerdictInconclusive:
		for _, c := range d.Conditions {
			if c.Breached && c.Trips.IsZero() {
				return "no decision is possible: " + c.Text
			}
		}
	case d.Reason == ReasonSelfOrigin:
		return "no retrain is needed: " + ownText(r)
	}
	return "no retrain is needed: " + d.nearest()
}

// Cause describes why a retrain is due: the first condition that tripped, and how many others did.
func (d *Decision) Cause() string {
	out, tripped := "", 0
	for _, c := range d.Conditions {
		if c.Tripped {
			if tripped == 0 {
				out = c.Text
			}
			tripped++
		}
	}
	if tripped > 1 {
		out += "; " + text.Plural(tripped-1, "more condition") + " tripped"
	}
	return out
}

// nearest describes the condition that will trip first if its breach lasts. If there is none, it describes the
// condition that needs the fewest labels to trip.
func (d *Decision) nearest() string {
	var best *Condition
	for i := range d.Conditions {
		if c := &d.Conditions[i]; !c.Trips.IsZero() && (best == nil || c.Trips.Before(best.Trips)) {
			best = c
		}
	}
	if best != nil {
		return best.Text
	}
	for i := range d.Conditions {
		if c := &d.Conditions[i]; c.Labels > 0 && (best == nil || c.Labels < best.Labels) {
			best = c
		}
	}
	if best == nil {
		return "no condition tripped"
	}
	return "no condition tripped; " + best.Config + " is closest: " + best.labelsToGo()
}

// labelsToGo describes how far a condition is from tripping: "9 more wrong answers would trip it".
func (c *Condition) labelsToGo() string {
	kind := "wrong answer"
	switch {
	case strings.HasPrefix(c.Name, "label_changes"):
		kind = "changed label"
	case c.Unit == UnitLabels:
		kind = "label"
	}
	return text.Plural(c.Labels, "more "+kind) + " would trip it"
}

func stateText(r *drift.Report) string {
	var out string
	switch r.State {
	case drift.StateNoRelease:
		return "no release is deployed yet"
	case drift.StateUnscored:
		out = "some held-out texts are not scored yet"
	case drift.StateInsufficient:
		out = "only " + text.Plural(r.Scored, "held-out item") + choose(r.Scored == 1, " is scored", " are scored")
	case drift.StateAsleep:
		out = "the classifier does not answer, and serving.asleep allows that"
	case drift.StateForeign:
		out = "the service's answers are not the champion's"
	case drift.StateError:
		out = "the evaluation failed"
	case drift.StateOK:
		return "no held-out item is scored"
	default:
		out = "unknown state " + string(r.State)
	}
	if r.Detail != "" { // Detail says the same with cause and cure
		return text.OneLine(r.Detail, 400)
	}
	return out
}
