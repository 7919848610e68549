package policy

import (
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

// block lists everything that prevents a retrain, or a rollback, from starting now.
func (p *Policy) block(d *Decision, r *drift.Report, h *History, now time.Time) {
	if d.Verdict == VerdictRollback {
		p.blockRollback(d, r, h, now)
		return
	}
	if h.Active != "" {
		d.block(ReasonRunActive, time.Time{}, "run "+h.Active+" is still active")
	}
	p.blockHold(d, h.Held, ReasonHeld, "held", now)
	if r.State == drift.StateForeign { // the serving release must be known before it is replaced
		d.block(ReasonForeign, time.Time{}, stateText(r))
	}
	if d.Forced { // a pause blocks automatic starts only
		return
	}
	p.blockHold(d, h.Paused, ReasonPaused, "paused", now)
	p.blockHold(d, h.Stopped, ReasonPaused, everyPaused, now)
	if r.State == drift.StateNoRelease { // a first release trained on part of the labels would serve until the next retrain
		switch {
		case h.Reading:
			d.block(ReasonInsufficientData, time.Time{}, "labels are still being read for the first time")
		case r.Labels.Items == 0:
			d.block(ReasonInsufficientData, time.Time{}, "no item has a label yet")
		}
	}
	if why := r.Suspicion; why != nil && why.Suspicious && p.config.Limits.SuspiciousLabels != SuspiciousIgnore {
		d.block(ReasonSuspiciousLabels, time.Time{}, "labels are suspicious: "+why.Text)
	}
	p.blockRuns(d, h, now)
	p.blockWindow(d, h, now)
}

// block adds a blocker.
func (d *Decision) block(reason Reason, until time.Time, text string) {
	d.Blocked = append(d.Blocked, Blocker{Reason: reason, Until: until, Text: text})
}

func (p *Policy) blockHold(d *Decision, hold *Hold, reason Reason, what string, now time.Time) {
	if !hold.Holds(now) {
		return
	}
	out := what
	if hold.By != "" {
		out += " by " + hold.By
	}
	if !hold.Until.IsZero() {
		out += " until " + p.clock(hold.Until, now)
	}
	if hold.Reason != "" {
		out += ": " + hold.Reason
	}
	d.block(reason, hold.Until, out)
}

// clock formats an instant in the policy's time zone.
func (p *Policy) clock(t, now time.Time) string { return text.Clock(t, now, p.windows.Location()) }

// everyPaused is the beginning of the text for a pause of all models.
const everyPaused = "every model is paused"

// blockRuns adds the blockers that depend on earlier runs: breaker, no new labels, cooldown or a GPU in use, and the
// budgets for one night and for a period.
func (p *Policy) blockRuns(d *Decision, h *History, now time.Time) {
	limits := &p.config.Limits
	if n, open := breakerOpen(h, limits.Breaker); open {
		d.block(ReasonBreakerOpen, time.Time{}, text.Plural(n, "run")+" in a row ended without a promotion; waiting for new labels")
	}
	if run, same := rejectedOn(h); same {
		out := "no label changed since run " + run.ID + " was rejected"
		if run.Outcome == OutcomeRolledBack {
			out = "neither labels nor code changed since run " + run.ID + ", whose release was rolled back"
		}
		switch {
		case run.Text != "":
			out += ": " + run.Text
		case run.Why != "":
			out += " (" + string(run.Why) + ")"
		}
		d.block(ReasonNoNewInformation, time.Time{}, out)
	}
	if until := p.nightSpent(h); now.Before(until) {
		d.block(ReasonBudget, until, "run "+h.Runs[0].ID+" used up its step's budget for the night: "+h.Runs[0].Text+
			"; it continues at "+p.clock(until, now))
	}
	switch until, run := cooledDown(h, limits.Cooldown.D()); {
	case !now.Before(until):
	case run.Untrained:
		d.block(ReasonCooldown, until,
			"run "+run.ID+" failed before it trained anything: "+run.Text+"; next attempt at "+p.clock(until, now))
	case run.Outcome == OutcomeBlocked && run.Why == ReasonGPUHeld:
		d.block(ReasonGPUHeld, until,
			"run "+run.ID+" did not get the GPU: "+run.Text+"; next attempt at "+p.clock(until, now))
	default:
		d.block(ReasonCooldown, until, "cooldown until "+p.clock(until, now))
	}
	if b := limits.Budget; b.Count > 0 {
		if until, spent := budgetSpent(h, b.Count, b.Per.D(), now); spent {
			d.block(ReasonBudget, until, "the budget ("+b.String()+") is spent until "+p.clock(until, now))
		}
	}
}

const (
	// dayless is how long a night lasts after the end of a run, if the run did not end in quiet hours, or if these are
	// longer than longestNight.
	dayless = 12 * time.Hour
	// longestNight is more than a long weekend. Longer quiet hours, such as every day except holidays, have no nights.
	longestNight = 7 * day
)

// nightSpent returns the end of the night in which a step of the latest run used up its budget for one night; zero if
// no step did.
func (p *Policy) nightSpent(h *History) time.Time {
	if len(h.Runs) == 0 || !h.Runs[0].spentNight() {
		return time.Time{}
	}
	ended := h.Runs[0].Ended
	if night, open := p.windows.Current(ended); open && !night.End.IsZero() && night.Length() <= longestNight {
		return night.End
	}
	return ended.Add(dayless)
}

// breakerOpen counts the runs since the last promotion that was not undone, if they failed, were rejected, or were
// rolled back. Blocked and cancelled runs do not count, nor do those that are Untrained. It reports whether these runs
// open the breaker: there are enough of them, and no label is known to have changed since the last one. After a label
// change one run may start; if that fails too, the breaker is open again until labels change.
func breakerOpen(h *History, most int) (n int, open bool) {
	if most <= 0 {
		return 0, false
	}
	var last *RunFact
	for i := range h.Runs {
		switch run := &h.Runs[i]; run.Outcome {
		case OutcomeFailed, OutcomeRejected, OutcomeRolledBack:
			if run.Untrained {
				continue
			}
			n++
			if last == nil {
				last = run
			}
		case OutcomePromoted:
			if h.undone(run) {
				continue // its release was rolled back; the run that did this is counted instead
			}
			return n, n >= most && sameInfo(last.Info, h.Info)
		}
	}
	return n, n >= most && sameInfo(last.Info, h.Info)
}

// sameInfo reports whether two digests of the labels are equal. An unknown digest counts as equal, because a check
// that cannot be evaluated must block.
func sameInfo(then, now string) bool { return then == now || now == "" || then == "" }

// rejectedOn looks for a run that shows that a new run would have the same result. That is the latest run whose
// candidate was rejected, if the labels are the same, or a later run whose release was rolled back, if labels and code
// are the same. Runs before the last promotion do not count, unless a rollback undid that promotion. `same` reports
// whether there is such a run.
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
		case OutcomeRolledBack:
			if run.Undoes == "" && run.Info != "" && run.Info == h.Info && run.Code != "" && run.Code == h.Code {
				return run, true
			}
		}
	}
	return nil, false
}

// cooledDown returns the run whose cooldown ends last, and when that is. The cooldown starts at the run's end, so that
// a long run does not use it up. It applies after every outcome: otherwise a run that failed immediately would be
// retried immediately, and a rolled back release would be trained again. Only a run that the next run resumes has no
// cooldown. After runs that failed before they trained anything, there is a short pause instead, which doubles with
// each such run.
func cooledDown(h *History, cooldown time.Duration) (until time.Time, run *RunFact) {
	pause := untrainedPause
	for i := 1; i < len(h.Runs) && h.Runs[i].Untrained && pause < cooldown; i++ { // newest first
		pause *= 2
	}
	for i := range h.Runs {
		r := &h.Runs[i]
		if r.continued() {
			continue
		}
		end := r.Ended
		if end.IsZero() {
			end = r.Started
		}
		lasts := cooldown
		if r.Untrained {
			lasts = min(cooldown, pause)
		}
		if over := end.Add(lasts); run == nil || over.After(until) {
			until, run = over, r
		}
	}
	return until, run
}

// untrainedPause is the pause after a run that failed before it trained anything.
const untrainedPause = 5 * time.Minute

// budgetSpent reports whether the budget of runs in a rolling period is spent, and until when. Blocked runs, rollbacks,
// and runs that failed before they trained anything do not count.
func budgetSpent(h *History, most int, per time.Duration, now time.Time) (until time.Time, spent bool) {
	for i := range h.Runs { // newest first
		if run := &h.Runs[i]; run.continued() || run.Undoes != "" || run.Untrained || run.Outcome == OutcomeBlocked {
			continue
		}
		if most--; most == 0 {
			until = h.Runs[i].Started.Add(per)
			return until, until.After(now)
		}
	}
	return time.Time{}, false
}

// openings limits how many future openings are searched for one that is long enough.
const openings = 60

func (p *Policy) blockWindow(d *Decision, h *History, now time.Time) {
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
	if open && current.Fits(now, needs) {
		return
	}
	if !open && d.WindowNext.IsZero() {
		d.block(ReasonWindowClosed, time.Time{}, "quiet hours never open again")
		return
	}
	next, ok := p.fitting(now, needs)
	switch {
	case open && ok:
		d.block(ReasonWindowTooShort, next, p.needs(h)+", but the quiet hours end in "+text.Span(current.End.Sub(now))+
			"; the next quiet hours of that length begin at "+p.clock(next, now))
	case open:
		d.block(ReasonWindowTooShort, next, p.needs(h)+", but the quiet hours end in "+text.Span(current.End.Sub(now))+
			", and no later ones are long enough")
	case !ok:
		d.block(ReasonWindowTooShort, time.Time{}, p.needs(h)+", but no quiet hours are that long")
	default:
		d.block(ReasonWindowClosed, next, "quiet hours open at "+p.clock(next, now))
	}
}

// Leaves returns when a run that starts now must stop those of its steps that save checkpoints: at the end of the quiet
// hours minus the reserve for restarting stopped services; zero for never.
func (p *Policy) Leaves(d *Decision) time.Time {
	current, open := p.windows.Current(d.At)
	if d.Forced || d.Urgent || p.windows.Always() || !open || current.End.IsZero() {
		return time.Time{}
	}
	return current.End.Add(-p.config.Limits.Reserve.D())
}

// needs describes how long the quiet hours must last: for the expected run plus the reserve.
func (p *Policy) needs(h *History) string {
	switch reserve := p.config.Limits.Reserve.D(); {
	case reserve == 0:
		return "a run needs " + text.Span(h.Needs)
	case h.Needs == 0:
		return "restarting stopped services needs " + text.Span(reserve)
	default:
		return "a run needs " + text.Span(h.Needs+reserve) + " (" + text.Span(reserve) + " of it in reserve)"
	}
}

// fitting returns the next opening that is long enough.
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
