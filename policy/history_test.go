package policy_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
)

// Random months under random limits: no run starts that a rule forbids, and every run that no rule forbids starts. The
// rules are checked by counting over the whole history, unlike in Decide.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	report := healthy(t)
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		c := policy.Defaults()
		c.RetrainWhen.AccuracyBelow = below(0.85)
		c.UrgentWhen.AccuracyBelow = below(0.5)
		lasts := time.Duration(rapid.IntRange(0, 12).Draw(t, "for")) * hour
		c.RetrainWhen.AccuracyBelow.For = unit.Duration(lasts)
		c.RetrainWhen.LabelChanges = &policy.LabelChanges{AtLeast: 50}
		c.Limits = policy.Limits{
			Cooldown: unit.Duration(rapid.IntRange(0, 72).Draw(t, "cooldown")) * unit.Duration(hour),
			Budget: unit.Rate{
				Count: rapid.IntRange(1, 4).Draw(t, "budget"),
				Per:   unit.Duration(rapid.IntRange(1, 10).Draw(t, "days")) * unit.Duration(day),
			},
			Breaker: rapid.IntRange(0, 3).Draw(t, "breaker"),
			Reserve: unit.Duration(rapid.IntRange(0, 90).Draw(t, "reserve")) * unit.Duration(time.Minute),
		}
		from, to := unit.Clock(rapid.IntRange(0, 23).Draw(t, "from")*3600), unit.Clock(rapid.IntRange(0, 23).Draw(t,
			"to")*3600+900)
		c.QuietHours = []quiethours.WindowConfig{{
			Days: quiethours.Days(rapid.IntRange(0, 127).Draw(t, "weekdays")),
			From: &from, To: &to,
		}}
		p, err := policy.Compile(c, loc, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{
			t: t, report: report, c: c, w: p.Windows(), lasts: lasts,
			now: time.Date(2027, 3, 20, 0, 0, 0, 0, time.UTC),
		}
		for range 150 {
			m.step(p)
		}
	})
}

type model struct {
	t      *rapid.T
	report drift.Report
	c      policy.Config
	w      *quiethours.Windows
	now    time.Time
	info   int
	runs   []policy.RunFact // newest first
	active bool
	ends   time.Time
	paused *policy.Hold
	lasts  time.Duration // how long a breach must last
	since  time.Time     // start of the present breach
	last   *policy.Decision
}

func (m *model) step(p *policy.Policy) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 300).Draw(m.t, "minutes")) * time.Minute)
	if m.active && !m.now.Before(m.ends) {
		m.active = false
		m.runs[0].Ended = m.ends
		m.runs[0].Outcome = rapid.SampledFrom([]policy.Outcome{
			policy.OutcomePromoted, policy.OutcomeRejected, policy.OutcomeRejected, policy.OutcomeRolledBack,
			policy.OutcomeFailed, policy.OutcomeCancelled, policy.OutcomeBlocked,
		}).Draw(m.t, "outcome")
	}
	if rapid.IntRange(0, 5).Draw(m.t, "labels") == 0 {
		m.info++
	}
	r := wrong(m.report, rapid.SampledFrom([]int{0, 20, 20, 20, 150}).Draw(m.t, "wrong"))
	h := policy.History{
		Runs: m.runs, Info: fmt.Sprint(m.info),
		Needs: time.Duration(rapid.IntRange(0, 5).Draw(m.t, "needs")) * hour,
	}
	h.Last = m.last
	if m.active {
		h.Active = m.runs[0].ID
	}
	// Labels that retraind's own runs wrote are never a reason, whatever their number.
	r.Labels.Changed = rapid.SampledFrom([]int{0, 49, 49, 60}).Draw(m.t, "changed")
	r.Labels.Own = rapid.SampledFrom([]int{0, 900}).Draw(m.t, "own")
	if rapid.IntRange(0, 29).Draw(m.t, "pause") == 0 {
		m.paused = &policy.Hold{Until: m.now.Add(time.Duration(rapid.IntRange(1, 48).Draw(m.t, "paused")) * hour)}
	}
	h.Paused = m.paused
	if rapid.IntRange(0, 29).Draw(m.t, "stop") == 0 {
		h.Stopped = &policy.Hold{}
	}
	if rapid.IntRange(0, 19).Draw(m.t, "hold") == 0 {
		h.Held = &policy.Hold{}
	}
	if rapid.IntRange(0, 19).Draw(m.t, "force") == 0 {
		h.Force = &policy.Force{By: "ann"}
	}
	d := p.Decide(r, h, m.now)
	sound(m.t, d)
	forbidden := m.forbidden(d, h)
	m.last = &d
	switch {
	case r.Accuracy >= 0.85:
		m.since = time.Time{}
	case m.since.IsZero():
		m.since = m.now
	}
	lasting := !m.since.IsZero() && m.now.Sub(m.since) >= m.lasts
	wanted := lasting || r.Accuracy < 0.5 || r.Labels.Changed >= 50 || h.Force != nil
	if d.Urgent != (r.Accuracy < 0.5) {
		m.t.Fatalf("%s: urgent is %v at an accuracy of %v", m.now, d.Urgent, r.Accuracy)
	}
	switch {
	case d.Start() && forbidden != "":
		m.t.Fatalf("%s: started, though %s (%s)", m.now, forbidden, d.Text)
	case d.Start() && !wanted:
		m.t.Fatalf("%s: started without a reason (%s)", m.now, d.Text)
	case !d.Start() && wanted && forbidden == "":
		m.t.Fatalf("%s: did not start, although nothing forbids it: %s", m.now, d.Text)
	case d.Start():
		m.active = true
		m.ends = m.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(m.t, "length")) * time.Minute)
		run := policy.RunFact{ID: fmt.Sprintf("r%d", len(m.runs)), Started: m.now, Info: h.Info, Forced: h.Force != nil}
		m.runs = append([]policy.RunFact{run}, m.runs...)
	}
}

// forbidden returns a rule that forbids a start now, "" if there is none.
func (m *model) forbidden(d policy.Decision, h policy.History) string {
	switch {
	case m.active:
		return "a run is active"
	case h.Held != nil:
		return "it is held"
	case h.Force != nil:
		return ""
	case h.Stopped != nil, m.paused != nil && m.now.Before(m.paused.Until):
		return "it is paused"
	}
	limits := m.c.Limits
	inPeriod := 0
	for _, run := range m.runs {
		if m.now.Sub(run.Ended) < limits.Cooldown.D() {
			return "a run ended within the cooldown"
		}
		if run.Outcome != policy.OutcomeBlocked && m.now.Sub(run.Started) < limits.Budget.Per.D() {
			inPeriod++
		}
	}
	if inPeriod >= limits.Budget.Count {
		return "the budget is spent"
	}
	streak, last, lastRejected, promotedSince := 0, "", "", false
	for i := len(m.runs) - 1; i >= 0; i-- { // oldest first
		switch run := m.runs[i]; run.Outcome {
		case policy.OutcomePromoted:
			streak, promotedSince = 0, true
		case policy.OutcomeRejected:
			streak, last, lastRejected, promotedSince = streak+1, run.Info, run.Info, false
		case policy.OutcomeFailed, policy.OutcomeRolledBack:
			streak, last = streak+1, run.Info
		}
	}
	switch {
	case limits.Breaker > 0 && streak >= limits.Breaker && last == h.Info:
		return "the breaker is open"
	case lastRejected != "" && !promotedSince && lastRejected == h.Info:
		return "these labels were rejected"
	case d.Urgent:
		return ""
	}
	if !m.w.Contains(m.now) {
		return "the quiet hours are over"
	}
	needs := h.Needs + limits.Reserve.D()
	// It must fit: quiet hours are open at every quarter of an hour of the run, and at its end.
	for at := m.now; at.Before(m.now.Add(needs)); at = at.Add(15 * time.Minute) {
		if !m.w.Contains(at) {
			return "it does not fit"
		}
	}
	if needs > 0 && !m.w.Contains(m.now.Add(needs-time.Nanosecond)) {
		return "it does not fit"
	}
	return ""
}
