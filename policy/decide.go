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
// budget, cooldown, quiet hours and a pause, which only stops what would start by itself, but never another run or a
// hold; an urgent one skips quiet hours alone.
func (p *Policy) Decide(r drift.Report, h History, now time.Time) Decision {
	r = r.ByPeople()
	d := Decision{At: now, Model: r.Model, PolicyDigest: p.digest, Release: r.Release, Seq: r.Seq}
	d.Conditions = make([]Condition, 0, len(p.retrain)+len(p.urgent)+2)
	p.judge(&d, &r, &h, now)
	var s sentences
	s.all.Grow((len(d.Conditions) + 3) * sentenceLength)
	p.tell(&d, &r, &h, now, &s)
	p.block(&d, &r, &h, now, &s)
	d.Reason = p.reason(&d, &r)
	p.sentence(&d, &r, p.trial(&h, now), &s)
	d.Text = s.text()
	return d
}

// redecide is Decide without words, for a backtest: conditions, verdict, reason, and until when what blocks a retrain
// does so. What blocks is asked only where a retrain is wanted. It fills a Decision that was used before, so that nothing
// is allocated; h.Last must be another one.
func (p *Policy) redecide(d *Decision, r *drift.Report, h *History, now time.Time) {
	*d = Decision{At: now, Conditions: d.Conditions[:0], Blocked: d.Blocked[:0], PolicyDigest: p.digest, Release: r.Release, Seq: r.Seq}
	p.judge(d, r, h, now)
	if d.Verdict == VerdictRetrain {
		p.block(d, r, h, now, nil)
	}
	d.Reason = p.reason(d, r)
}

// The names of what calls for a retrain beside the conditions of the configuration.
const (
	nameForced    = "forced"
	nameNoRelease = "no_release"
)

// judge settles every condition and the verdict. Figures of a report that is not whole are not evidence.
func (p *Policy) judge(d *Decision, r *drift.Report, h *History, now time.Time) {
	d.Verdict = VerdictHold
	if d.Forced = h.Force != nil; d.Forced {
		d.Conditions = append(d.Conditions, calling(nameForced))
	}
	if r.State == drift.StateNoRelease {
		d.Conditions = append(d.Conditions, calling(nameNoRelease))
	}
	trial := p.trial(h, now)
	if trial != nil {
		d.Conditions = append(d.Conditions, trial.condition())
	}
	whole := r.State == drift.StateOK && r.Scored > 0
	past := p.memory(h.Last, r.Release)
	for i := range p.retrain {
		p.retrain[i].add(d, r, now, whole, &past)
	}
	conditions := len(d.Conditions)
	for i := range p.urgent {
		p.urgent[i].add(d, r, now, whole, &past)
	}
	for i := range d.Conditions {
		c := &d.Conditions[i]
		switch {
		case c.Name == nameProbation:
		case c.Tripped:
			d.Verdict = VerdictRetrain
			d.Urgent = d.Urgent || i >= conditions
		case c.State == StateInconclusive && c.Breached && c.Trips.IsZero() && d.Verdict == VerdictHold:
			d.Verdict = VerdictInconclusive
		}
	}
	if d.Verdict == VerdictHold && (r.State == drift.StateUnscored || r.State == drift.StateInsufficient || r.State == drift.StateOK && r.Scored == 0) {
		d.Verdict = VerdictInconclusive
	}
	if trial.rollsBack() { // first of all: what serves is worse than what served before
		d.Verdict = VerdictRollback
	}
}

// calling is a condition of ours that holds.
func calling(name string) Condition {
	return Condition{Name: name, State: StateFail, Tripped: true, Breached: true, Value: 1, Bound: 1}
}

// add judges one condition of the configuration.
func (n *named) add(d *Decision, r *drift.Report, now time.Time, whole bool, past *memory) {
	c := n.next(d)
	if whole {
		n.judge(r, now, c)
	} else {
		c.unknown(0)
	}
	if c.State != StatePass || n.margin > 0 { // else nothing that was before counts
		n.hold(c, past.of(c), now)
	}
}

// next makes room for a condition. The room that a decision before left, mostly that of the same condition, is only
// wiped: names are pointers, which cost more to write than all figures.
func (n *named) next(d *Decision) *Condition {
	i := len(d.Conditions)
	if i == cap(d.Conditions) {
		d.Conditions = append(d.Conditions, Condition{})
	}
	d.Conditions = d.Conditions[:i+1]
	c := &d.Conditions[i]
	if c.Name == "" { // was never used
		c.Name, c.Config, c.Unit = n.name, n.config, n.unit
		return c
	}
	if c.Config != n.config || c.Text != "" {
		*c = Condition{Name: n.name, Config: n.config, Unit: n.unit}
		return c
	}
	c.Tripped, c.Breached, c.Latched, c.Labels = false, false, false, 0
	c.Value, c.Bound, c.Distance = 0, 0, 0
	c.Since, c.Trips = time.Time{}, time.Time{}
	return c
}

// notJudged starts the text of a condition that waits for a report that is whole.
const notJudged = "not judged: "

// tell puts each condition that was judged into words.
func (p *Policy) tell(d *Decision, r *drift.Report, h *History, now time.Time, s *sentences) {
	ours := len(d.Conditions) - len(p.retrain) - len(p.urgent)
	for i := range ours {
		switch c := &d.Conditions[i]; c.Name {
		case nameNoRelease:
			c.Text = "no release is deployed yet"
		case nameProbation:
			p.trial(h, now).tell(now, p.windows.Location(), s)
			c.Text = s.text()
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
			s.say(notJudged, stateText(r))
		case i < len(p.retrain):
			p.retrain[i].tell(r, now, c, s)
		default:
			p.urgent[i-len(p.retrain)].tell(r, now, c, s)
		}
		c.Text = s.text()
	}
}

func (f *Force) text() string {
	text := "forced by " + label(f.By)
	if f.By == "" {
		text = "forced"
	}
	if f.Reason != "" {
		text += ": " + label(f.Reason)
	}
	return text
}

// reason says why nothing starts, empty where a run may.
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

// probation is the condition of the probation, nil where there is none.
func (d *Decision) probation() *Condition {
	for i := range d.Conditions {
		if d.Conditions[i].Name == nameProbation {
			return &d.Conditions[i]
		}
	}
	return nil
}

// failedForGood says that a probation failed and that nothing can be rolled back.
func (d *Decision) failedForGood() bool {
	c := d.probation()
	return c != nil && c.Breached && !c.Tripped
}

// sentence says all of it in one.
func (p *Policy) sentence(d *Decision, r *drift.Report, trial *Trial, s *sentences) {
	switch {
	case d.Verdict == VerdictRollback:
		s.back(d, trial)
		return
	case d.Start():
		s.say("retraining: ").cause(d)
		return
	case d.Armed():
		s.say("a retrain is due (").cause(d).say(") and waits: ", d.Blocked[0].Text)
		return
	case d.Reason == ReasonNoFormerRelease:
		s.say(d.probation().Text)
		return
	case r.State == drift.StateAsleep, r.State == drift.StateError:
		s.say("nothing is decided: ", stateText(r))
		return
	case r.State != drift.StateOK, r.Scored == 0:
		s.say("nothing can be concluded: ", stateText(r))
		return
	case d.Verdict == VerdictInconclusive:
		for i := range d.Conditions {
			if d.Conditions[i].Breached && d.Conditions[i].Trips.IsZero() {
				s.say("nothing can be concluded: ", d.Conditions[i].Text)
				return
			}
		}
	case d.Reason == ReasonSelfOrigin:
		s.say("no retrain is needed: ", ownText(r))
		return
	}
	s.say("no retrain is needed: ").nearest(d)
}

// cause says the first condition that tripped, and how many more did.
func (s *sentences) cause(d *Decision) *sentences {
	tripped := 0
	for i := range d.Conditions {
		if c := &d.Conditions[i]; c.Tripped {
			if tripped == 0 {
				s.say(c.Text)
			}
			tripped++
		}
	}
	if tripped > 1 {
		s.say(", and ").plural(tripped-1, "more condition")
	}
	return s
}

// nearest says which condition needs the fewest labels to trip.
func (s *sentences) nearest(d *Decision) {
	var best *Condition
	for i := range d.Conditions {
		if c := &d.Conditions[i]; !c.Trips.IsZero() && (best == nil || c.Trips.Before(best.Trips)) {
			best = c
		}
	}
	if best != nil {
		s.say(best.Text)
		return
	}
	for i := range d.Conditions {
		if c := &d.Conditions[i]; c.Labels > 0 && (best == nil || c.Labels < best.Labels) {
			best = c
		}
	}
	s.say("no condition tripped")
	if best != nil {
		s.say("; ", best.Config, " is nearest, ").distance(best)
	}
}

// distance is that of a condition in labels: "9 more wrong labels would trip it".
func (s *sentences) distance(c *Condition) *sentences {
	kind := "more wrong label"
	if c.Unit == UnitLabels || strings.HasPrefix(c.Name, "label_changes") {
		kind = "more label"
	}
	return s.plural(c.Labels, kind).say(" would trip it")
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
