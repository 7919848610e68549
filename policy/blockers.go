package policy

import (
	"time"

	"github.com/retraind/retraind/drift"
)

// block lists what keeps a retrain from starting now; without words where only the verdict counts.
func (p *Policy) block(d *Decision, r *drift.Report, h *History, now time.Time, words bool) {
	if h.Active != "" {
		d.blocked(words, ReasonRunActive, time.Time{}, func() string { return "run " + h.Active + " is not over" })
	}
	p.blockHold(d, h.Held, ReasonHeld, "held", now, words)
	if d.Forced { // a pause stops what would start by itself, not a person
		return
	}
	p.blockHold(d, h.Paused, ReasonPaused, "paused", now, words)
	p.blockHold(d, h.Stopped, ReasonPaused, everyPaused, now, words)
	if r.State == drift.StateNoRelease { // a first release from a part of the labels would serve until the next retrain
		switch {
		case h.Reading:
			d.blocked(words, ReasonInsufficientData, time.Time{}, func() string { return "labels are still being read for the first time" })
		case r.Labels.Items == 0:
			d.blocked(words, ReasonInsufficientData, time.Time{}, func() string { return "labels are awaited: no item carries one yet" })
		}
	}
	if s := r.Suspicion; s != nil && s.Suspicious && p.config.Limits.SuspiciousLabels != SuspiciousIgnore {
		d.blocked(words, ReasonSuspiciousLabels, time.Time{}, func() string { return "labels are suspicious: " + s.Text })
	}
	p.blockRuns(d, h, now, words)
	p.blockWindow(d, h, now, words)
}

// blocked adds a blocker; its text costs more than all the rest.
func (d *Decision) blocked(words bool, reason Reason, until time.Time, text func() string) {
	b := Blocker{Reason: reason, Until: until}
	if words {
		b.Text = text()
	}
	d.Blocked = append(d.Blocked, b)
}

func (p *Policy) blockHold(d *Decision, hold *Hold, reason Reason, what string, now time.Time, words bool) {
	if !hold.Holds(now) {
		return
	}
	d.blocked(words, reason, hold.Until, func() string {
		text := what
		if hold.By != "" {
			text += " by " + hold.By
		}
		if !hold.Until.IsZero() {
			text += " until " + p.local(hold.Until, now)
		}
		if hold.Reason != "" {
			text += ": " + hold.Reason
		}
		return text
	})
}

// everyPaused starts the text of a pause that is not of this model alone.
const everyPaused = "every model is paused"

// blockRuns asks the runs before: breaker, new information, cooldown, budget.
func (p *Policy) blockRuns(d *Decision, h *History, now time.Time, words bool) {
	limits := &p.config.Limits
	if n, open := breakerOpen(h, limits.Breaker); open {
		d.blocked(words, ReasonBreakerOpen, time.Time{}, func() string {
			return plural(n, "run") + " in a row came to nothing; new labels are awaited"
		})
	}
	if id, same := rejectedOn(h); same {
		d.blocked(words, ReasonNoNewInformation, time.Time{}, func() string {
			return "the labels are those on which run " + id + " was rejected"
		})
	}
	switch until, run := cooledDown(h, limits.Cooldown.D()); {
	case !now.Before(until):
	case run.Outcome == OutcomeBlocked && run.Why == ReasonGPUHeld:
		d.blocked(words, ReasonGPUHeld, until, func() string {
			return "run " + run.ID + " did not get the GPU: " + run.Text + "; it is tried again from " + p.local(until, now)
		})
	default:
		d.blocked(words, ReasonCooldown, until, func() string { return "cooldown until " + p.local(until, now) })
	}
	if b := limits.Budget; b.Count > 0 {
		if until, spent := budgetSpent(h, b.Count, b.Per.D(), now); spent {
			d.blocked(words, ReasonBudget, until, func() string {
				return "the budget of " + b.String() + " is spent until " + p.local(until, now)
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
			return n, n >= most && sameInfo(last.Info, h.Info)
		}
	}
	return n, n >= most && sameInfo(last.Info, h.Info)
}

// sameInfo takes unknown labels for unchanged ones: a blocker that cannot be asked blocks.
func sameInfo(then, now string) bool { return then == now || now == "" || then == "" }

// rejectedOn finds the last rejected run, unless a promotion came after it.
func rejectedOn(h *History) (id string, same bool) {
	for i := range h.Runs {
		switch run := &h.Runs[i]; run.Outcome {
		case OutcomePromoted:
			return "", false
		case OutcomeRejected:
			return run.ID, run.Info != "" && run.Info == h.Info
		}
	}
	return "", false
}

// cooledDown is when the cooldown after the last run is over, and that run. It counts from the run's end, so that a long
// run does not eat it up, and after every outcome: a run that failed at once would else be tried again at once.
func cooledDown(h *History, cooldown time.Duration) (until time.Time, run *RunFact) {
	var last time.Time
	for i := range h.Runs {
		end := h.Runs[i].Ended
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
	started := 0
	for i := range h.Runs { // newest first
		at := h.Runs[i].Started
		if !at.Add(per).After(now) {
			continue
		}
		if started++; started == most {
			return at.Add(per), true
		}
	}
	return time.Time{}, false
}

// openings looked at for one that is long enough.
const openings = 60

func (p *Policy) blockWindow(d *Decision, h *History, now time.Time, words bool) {
	if p.windows.Always() {
		return
	}
	current, open := p.windows.Current(now)
	if !open {
		if next, ok := p.windows.next(now); ok {
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
		d.blocked(words, ReasonWindowTooShort, next, func() string {
			text := p.needs(h) + " and the quiet hours end in " + span(current.End.Sub(now))
			if ok {
				return text + "; they are long enough on " + p.local(next, now)
			}
			return text + "; none of the next ones is long enough"
		})
	case d.WindowNext.IsZero():
		d.blocked(words, ReasonWindowClosed, time.Time{}, func() string { return "no quiet hours come" })
	default:
		next, ok := p.fitting(now, needs)
		if !ok {
			d.blocked(words, ReasonWindowTooShort, time.Time{}, func() string {
				return p.needs(h) + " and no quiet hours are that long"
			})
			return
		}
		d.blocked(words, ReasonWindowClosed, next, func() string { return "quiet hours from " + p.local(next, now) })
	}
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
	if next, ok := p.windows.next(now); ok && next.Fits(next.Start, needs) {
		return next.Start, true
	}
	for _, i := range p.windows.Next(now, openings) {
		if i.Fits(i.Start, needs) {
			return i.Start, true
		}
	}
	return time.Time{}, false
}

// local shows an instant in the policy's zone, with the date where it is another day.
func (p *Policy) local(t, now time.Time) string { return localTime(t, now, p.windows.loc) }

// LocalTime shows an instant in the zone of now, with the date where it is another day.
func LocalTime(t, now time.Time) string { return localTime(t, now, now.Location()) }

func localTime(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	layout := "15:04 MST"
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		layout = "Mon 2006-01-02 15:04 MST"
	}
	if t.Second() != 0 {
		layout = layout[:len(layout)-4] + ":05 MST"
	}
	return t.Format(layout)
}
