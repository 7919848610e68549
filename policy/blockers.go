package policy

import (
	"time"
)

// block lists what keeps a retrain from starting now.
func (p *Policy) block(d *Decision, h History, now time.Time) {
	add := func(reason Reason, until time.Time, text string) {
		d.Blocked = append(d.Blocked, Blocker{Reason: reason, Until: until, Text: text})
	}
	if h.Active != "" {
		add(ReasonRunActive, time.Time{}, "run "+h.Active+" is not over")
	}
	p.blockHolds(h, now, add)
	if d.Forced {
		return
	}
	p.blockRuns(h, now, add)
	p.blockWindow(d, h, now, add)
}

type addBlocker func(reason Reason, until time.Time, text string)

func (p *Policy) blockHolds(h History, now time.Time, add addBlocker) {
	for _, hold := range []struct {
		*Hold
		what string
	}{{h.Held, "held"}, {h.Paused, "paused"}} {
		if hold.Hold == nil || !hold.Until.IsZero() && !now.Before(hold.Until) {
			continue
		}
		text := hold.what
		if hold.By != "" {
			text += " by " + hold.By
		}
		if !hold.Until.IsZero() {
			text += " until " + p.local(hold.Until, now)
		}
		if hold.Reason != "" {
			text += ": " + hold.Reason
		}
		add(ReasonHeld, hold.Until, text)
	}
}

// blockRuns asks the runs before: breaker, new information, cooldown, budget.
func (p *Policy) blockRuns(h History, now time.Time, add addBlocker) {
	limits := &p.config.Limits
	if n, open := breakerOpen(h, limits.Breaker); open {
		add(ReasonBreakerOpen, time.Time{}, plural(n, "run")+" in a row came to nothing; new labels are awaited")
	}
	if id, same := rejectedOn(h); same {
		add(ReasonNoNewInformation, time.Time{}, "the labels are those on which run "+id+" was rejected")
	}
	if until := cooledDown(h, limits.Cooldown.D()); now.Before(until) {
		add(ReasonCooldown, until, "cooldown until "+p.local(until, now))
	}
	if b := limits.Budget; b.Count > 0 {
		if until, spent := budgetSpent(h, b.Count, b.Per.D(), now); spent {
			add(ReasonBudget, until, "the budget of "+b.String()+" is spent until "+p.local(until, now))
		}
	}
}

// breakerOpen counts the latest runs that ended without a promotion. The breaker half-opens when labels have changed
// since the last of them: one run may try, and closes it again if it fails, for then the labels are its own.
func breakerOpen(h History, most int) (n int, open bool) {
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
func rejectedOn(h History) (id string, same bool) {
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

// cooledDown is when the cooldown after the last run is over. It counts from the run's end, so that a long run does not
// eat it up, and after every outcome: a run that failed at once would else be tried again at once.
func cooledDown(h History, cooldown time.Duration) time.Time {
	var last time.Time
	for i := range h.Runs {
		end := h.Runs[i].Ended
		if end.IsZero() {
			end = h.Runs[i].Started
		}
		if end.After(last) {
			last = end
		}
	}
	if last.IsZero() {
		return last
	}
	return last.Add(cooldown)
}

// budgetSpent counts the runs that started in the period that ends now.
func budgetSpent(h History, most int, per time.Duration, now time.Time) (until time.Time, spent bool) {
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

func (p *Policy) blockWindow(d *Decision, h History, now time.Time, add addBlocker) {
	if p.windows.Always() {
		return
	}
	current, open := p.windows.Current(now)
	if !open {
		if next := p.windows.Next(now, 1); len(next) > 0 {
			d.WindowNext = next[0].Start
		}
	}
	if d.Urgent {
		return
	}
	needs := h.Needs + h.Reserve
	switch {
	case open && current.Fits(now, needs):
	case open:
		text := "a run needs " + span(needs) + " and the quiet hours end in " + span(current.End.Sub(now))
		if next, ok := p.fitting(now, needs); ok {
			add(ReasonWindowTooShort, next, text+"; they are long enough on "+p.local(next, now))
			return
		}
		add(ReasonWindowTooShort, time.Time{}, text+"; none of the next ones is long enough")
	case d.WindowNext.IsZero():
		add(ReasonWindowClosed, time.Time{}, "no quiet hours come")
	default:
		next, ok := d.WindowNext, true
		if needs > 0 {
			next, ok = p.fitting(now, needs)
		}
		if !ok {
			add(ReasonWindowTooShort, time.Time{}, "a run needs "+span(needs)+" and no quiet hours are that long")
			return
		}
		add(ReasonWindowClosed, next, "quiet hours from "+p.local(next, now))
	}
}

// fitting is the next opening that is long enough.
func (p *Policy) fitting(now time.Time, needs time.Duration) (time.Time, bool) {
	if next := p.windows.Next(now, 1); len(next) > 0 && next[0].Fits(next[0].Start, needs) {
		return next[0].Start, true
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
