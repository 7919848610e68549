package policy

import (
	"time"

	"github.com/retraind/retraind/drift"
)

// block lists what keeps a retrain from starting now; s is nil where only the verdict counts.
func (p *Policy) block(d *Decision, r *drift.Report, h *History, now time.Time, s *sentences) {
	if d.Verdict == VerdictRollback {
		p.blockRollback(d, r, h, now, s)
		return
	}
	if h.Active != "" {
		d.blocked(s, ReasonRunActive, time.Time{}, func() { s.say("run ", h.Active, " is not over") })
	}
	p.blockHold(d, h.Held, ReasonHeld, "held", now, s)
	if d.Forced { // a pause stops what would start by itself, not a person
		return
	}
	p.blockHold(d, h.Paused, ReasonPaused, "paused", now, s)
	p.blockHold(d, h.Stopped, ReasonPaused, everyPaused, now, s)
	if r.State == drift.StateNoRelease { // a first release from a part of the labels would serve until the next retrain
		switch {
		case h.Reading:
			d.blocked(s, ReasonInsufficientData, time.Time{}, func() { s.say("labels are still being read for the first time") })
		case r.Labels.Items == 0:
			d.blocked(s, ReasonInsufficientData, time.Time{}, func() { s.say("labels are awaited: no item carries one yet") })
		}
	}
	if why := r.Suspicion; why != nil && why.Suspicious && p.config.Limits.SuspiciousLabels != SuspiciousIgnore {
		d.blocked(s, ReasonSuspiciousLabels, time.Time{}, func() { s.say("labels are suspicious: ", why.Text) })
	}
	p.blockRuns(d, h, now, s)
	p.blockWindow(d, h, now, s)
}

// blocked adds a blocker; what it says costs more than all the rest.
func (d *Decision) blocked(s *sentences, reason Reason, until time.Time, tell func()) {
	b := Blocker{Reason: reason, Until: until}
	if s != nil {
		tell()
		b.Text = s.text()
	}
	d.Blocked = append(d.Blocked, b)
}

func (p *Policy) blockHold(d *Decision, hold *Hold, reason Reason, what string, now time.Time, s *sentences) {
	if !hold.Holds(now) {
		return
	}
	d.blocked(s, reason, hold.Until, func() {
		s.say(what)
		if hold.By != "" {
			s.say(" by ", hold.By)
		}
		if !hold.Until.IsZero() {
			s.say(" until ").local(hold.Until, now, p.windows.Location())
		}
		if hold.Reason != "" {
			s.say(": ", hold.Reason)
		}
	})
}

// everyPaused starts the text of a pause that is not of this model alone.
const everyPaused = "every model is paused"

// blockRuns asks the runs before: breaker, new information, cooldown, budget.
func (p *Policy) blockRuns(d *Decision, h *History, now time.Time, s *sentences) {
	limits := &p.config.Limits
	if n, open := breakerOpen(h, limits.Breaker); open {
		d.blocked(s, ReasonBreakerOpen, time.Time{}, func() {
			s.plural(n, "run").say(" in a row came to nothing; new labels are awaited")
		})
	}
	if run, same := rejectedOn(h); same {
		d.blocked(s, ReasonNoNewInformation, time.Time{}, func() {
			s.say("the labels are those on which run ", run.ID, " was rejected")
			if run.Why != "" {
				s.say(" (", string(run.Why), ")")
			}
			if run.Text != "" {
				s.say(": ", run.Text)
			}
		})
	}
	switch until, run := cooledDown(h, limits.Cooldown.D()); {
	case !now.Before(until):
	case run.Outcome == OutcomeBlocked && run.Why == ReasonGPUHeld:
		d.blocked(s, ReasonGPUHeld, until, func() {
			s.say("run ", run.ID, " did not get the GPU: ", run.Text, "; it is tried again from ").local(until, now, p.windows.Location())
		})
	default:
		d.blocked(s, ReasonCooldown, until, func() { s.say("cooldown until ").local(until, now, p.windows.Location()) })
	}
	if b := limits.Budget; b.Count > 0 {
		if until, spent := budgetSpent(h, b.Count, b.Per.D(), now); spent {
			d.blocked(s, ReasonBudget, until, func() {
				s.say("the budget of ", b.String(), " is spent until ").local(until, now, p.windows.Location())
			})
		}
	}
}

// breakerOpen counts the latest runs that ended without a promotion. The breaker half-opens when labels have changed
// since the last of them: one run may try, and closes it again if it fails, for then the labels are its own.
func breakerOpen(h *History, most int) (n int, open bool) {
	if most <= 0 {
		return 0, false
	}
	var last *RunFact
	for i := range h.Runs {
		switch run := &h.Runs[i]; run.Outcome {
		case OutcomeFailed, OutcomeRejected, OutcomeRolledBack:
			n++
			if last == nil {
				last = run
			}
		case OutcomePromoted:
			if h.undone(run) {
				continue // it came to nothing, and the run that says so is counted
			}
			return n, n >= most && sameInfo(last.Info, h.Info)
		}
	}
	return n, n >= most && sameInfo(last.Info, h.Info)
}

// sameInfo takes unknown labels for unchanged ones: a blocker that cannot be asked blocks.
func sameInfo(then, now string) bool { return then == now || now == "" || then == "" }

// rejectedOn finds the last rejected run, unless a promotion came after it.
func rejectedOn(h *History) (run *RunFact, same bool) {
	for i := range h.Runs {
		switch run := &h.Runs[i]; run.Outcome {
		case OutcomePromoted:
			if h.undone(run) {
				continue
			}
			return nil, false
		case OutcomeRejected:
			return run, run.Info != "" && run.Info == h.Info
		}
	}
	return nil, false
}

// cooledDown is when the cooldown after the last run is over, and that run. It counts from the run's end, so that a long
// run does not eat it up, and after every outcome: a run that failed at once would else be tried again at once, and a
// release that was rolled back trained once more.
func cooledDown(h *History, cooldown time.Duration) (until time.Time, run *RunFact) {
	var last time.Time
	for i := range h.Runs {
		end := h.Runs[i].Ended
		if h.Runs[i].goesOn() {
			continue
		}
		if end.IsZero() {
			end = h.Runs[i].Started
		}
		if end.After(last) {
			last, run = end, &h.Runs[i]
		}
	}
	if run == nil {
		return last, nil
	}
	return last.Add(cooldown), run
}

// budgetSpent counts the runs that started in the period that ends now.
func budgetSpent(h *History, most int, per time.Duration, now time.Time) (until time.Time, spent bool) {
	for i := range h.Runs { // newest first
		if h.Runs[i].goesOn() || h.Runs[i].Undoes != "" { // a rollback trains nothing
			continue
		}
		if most--; most == 0 {
			until = h.Runs[i].Started.Add(per)
			return until, until.After(now)
		}
	}
	return time.Time{}, false
}

// openings looked at for one that is long enough.
const openings = 60

func (p *Policy) blockWindow(d *Decision, h *History, now time.Time, s *sentences) {
	if p.windows.Always() {
		return
	}
	current, open := p.windows.Current(now)
	if !open {
		if next, ok := p.windows.NextOpening(now); ok {
			d.WindowNext = next.Start
		}
	}
	if d.Urgent {
		return
	}
	needs := h.Needs + p.config.Limits.Reserve.D()
	switch {
	case open && current.Fits(now, needs):
	case open:
		next, ok := p.fitting(now, needs)
		d.blocked(s, ReasonWindowTooShort, next, func() {
			s.say(p.needs(h), " and the quiet hours end in ").span(current.End.Sub(now))
			if ok {
				s.say("; they are long enough on ").local(next, now, p.windows.Location())
				return
			}
			s.say("; none of the next ones is long enough")
		})
	case d.WindowNext.IsZero():
		d.blocked(s, ReasonWindowClosed, time.Time{}, func() { s.say("no quiet hours come") })
	default:
		next, ok := p.fitting(now, needs)
		if !ok {
			d.blocked(s, ReasonWindowTooShort, time.Time{}, func() {
				s.say(p.needs(h), " and no quiet hours are that long")
			})
			return
		}
		d.blocked(s, ReasonWindowClosed, next, func() { s.say("quiet hours from ").local(next, now, p.windows.Location()) })
	}
}

// Leaves is when a run that a decision starts has to leave the quiet hours, with the reserve left to bring back what it
// stopped; zero where it need not.
func (p *Policy) Leaves(d *Decision) time.Time {
	current, open := p.windows.Current(d.At)
	if d.Forced || d.Urgent || p.windows.Always() || !open || current.End.IsZero() {
		return time.Time{}
	}
	return current.End.Add(-p.config.Limits.Reserve.D())
}

// needs says how long the quiet hours must be: the run as expected, and the reserve.
func (p *Policy) needs(h *History) string {
	switch reserve := p.config.Limits.Reserve.D(); {
	case reserve == 0:
		return "a run needs " + span(h.Needs)
	case h.Needs == 0:
		return span(reserve) + " must remain to bring back what a run stops"
	default:
		return "a run needs " + span(h.Needs+reserve) + " (" + span(reserve) + " in reserve)"
	}
}

// fitting is the next opening that is long enough.
func (p *Policy) fitting(now time.Time, needs time.Duration) (time.Time, bool) {
	if next, ok := p.windows.NextOpening(now); ok && next.Fits(next.Start, needs) {
		return next.Start, true
	}
	for _, i := range p.windows.Next(now, openings) {
		if i.Fits(i.Start, needs) {
			return i.Start, true
		}
	}
	return time.Time{}, false
}

// LocalTime shows an instant in the zone of now, with the date where it is another day.
func LocalTime(t, now time.Time) string { return localTime(t, now, now.Location()) }

func localTime(t, now time.Time, loc *time.Location) string {
	return string(appendLocal(nil, t, now, loc))
}

func appendLocal(out []byte, t, now time.Time, loc *time.Location) []byte {
	t, now = t.In(loc), now.In(loc)
	layout := "15:04 MST"
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		layout = "Mon 2006-01-02 15:04 MST"
	}
	if t.Second() != 0 {
		layout = layout[:len(layout)-4] + ":05 MST"
	}
	return t.AppendFormat(out, layout)
}
