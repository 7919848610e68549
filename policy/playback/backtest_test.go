package playback_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
)

// lived runs the daemon's loop over reports and records the decisions and runs.
type lived struct {
	t       *rapid.T
	p       *policy.Policy
	c       policy.Config
	rec     playback.Record
	h       policy.History
	ends    time.Time
	outcome []policy.Outcome
}

func (l *lived) decide(r drift.Report, now time.Time) policy.Decision {
	if !l.ends.IsZero() && !now.Before(l.ends) {
		l.h.Active, l.ends = "", time.Time{}
	}
	l.h.Info = strconv.FormatInt(r.Seq, 10)
	d := l.p.Decide(r, l.h, now)
	l.h.Last = &d
	l.rec.Decisions = append(l.rec.Decisions, playback.DecisionFact{At: now, Verdict: d.Verdict})
	if !d.Start() {
		return d
	}
	run := policy.RunFact{
		ID: fmt.Sprintf("r%d", len(l.rec.Runs)), Started: now,
		Ended: now.Add(time.Duration(rapid.IntRange(1, 300).Draw(l.t, "took")) * time.Minute), Info: l.h.Info,
	}
	run.Outcome, run.Code = rapid.SampledFrom(l.outcome).Draw(l.t, "outcome"), l.h.Code
	run.Untrained = run.Outcome == policy.OutcomeFailed && rapid.IntRange(0, 3).Draw(l.t, "untrained") > 0
	l.rec.Decisions = append(l.rec.Decisions, playback.DecisionFact{At: now, Verdict: d.Verdict, Run: run.ID, Urgent: d.Urgent})
	l.rec.Runs = append(l.rec.Runs, playback.RecordedRun{RunFact: run, GPU: run.Ended.Sub(run.Started) / 2})
	l.h.Runs = append([]policy.RunFact{run}, l.h.Runs...)
	l.h.Active, l.ends = run.ID, run.Ended
	return d
}

// live decides on a report, and again whenever something is due before the next report, like the daemon's timer.
func (l *lived) live(r drift.Report, until time.Time) {
	d := l.decide(r, r.At)
	for at := r.At; ; {
		next := until
		for _, t := range append(untils(d), l.ends, r.Baseline.At.Add(l.c.RetrainWhen.MaxAge.Age.D())) {
			if t.After(at) && t.Before(next) {
				next = t
			}
		}
		if !next.Before(until) {
			return
		}
		d, at = l.decide(r, next), next
	}
}

func untils(d policy.Decision) (list []time.Time) {
	if d.Verdict == policy.VerdictRetrain {
		for _, b := range d.Blocked {
			list = append(list, b.Until)
		}
	}
	for _, c := range d.Conditions {
		list = append(list, c.Trips)
	}
	return list
}

// A backtest under the policy of the record gives the same runs, delays and waiting times.
func TestBacktestRepeatsTheRecord(t *testing.T) {
	t.Parallel()
	outer, starts, urgent, untrained := t, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		c := config(outer)
		c.Limits.Cooldown = unit.Duration(rapid.IntRange(0, 48).Draw(t, "cooldown")) * unit.Duration(hour)
		c.Limits.Breaker = rapid.IntRange(0, 3).Draw(t, "breaker")
		c.RetrainWhen.AccuracyBelow.For = unit.Duration(rapid.IntRange(0, 5).Draw(t, "for")) * unit.Duration(hour)
		c.RetrainWhen.AccuracyBelow.Margin = unit.Points(rapid.IntRange(0, 2).Draw(t, "margin"))
		p, err := policy.Compile(c, loc, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l := &lived{
			t: t, p: p, c: c,
			outcome: []policy.Outcome{
				policy.OutcomePromoted, policy.OutcomeRejected, policy.OutcomeFailed, policy.OutcomeFailed,
				policy.OutcomeRolledBack,
			},
		}
		l.h.Code = "the steps"
		l.h.Needs = time.Duration(rapid.IntRange(0, 5).Draw(t, "needs")) * hour
		at := noon(outer)
		for i := range rapid.IntRange(2, 40).Draw(t, "reports") {
			r := wrong(healthy(outer), rapid.IntRange(0, 80).Draw(t, "wrong"))
			r.At, r.Seq, r.Release = at, int64(i/2), fmt.Sprint("r", len(l.rec.Runs))
			l.rec.Reports = append(l.rec.Reports, r)
			at = at.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "minutes")) * time.Minute)
		}
		for i, r := range l.rec.Reports {
			until := r.At
			if i+1 < len(l.rec.Reports) {
				until = l.rec.Reports[i+1].At
			}
			l.live(r, until)
		}
		starts += len(l.rec.Runs)
		for _, run := range l.rec.Runs {
			if run.Untrained {
				untrained++
			}
		}
		o := playback.BacktestOptions{Needs: l.h.Needs, Took: hour, Floor: 0.85}
		b := playback.RunBacktest(p, &l.rec, o)
		if diff := cmp.Diff(b.Then, b.Now); diff != "" || len(b.Divergences) > 0 {
			t.Fatalf("the backtest differs from the record (-record +backtest):\n%s%+v", diff, b.Divergences)
		}
		urgent += b.Then.Urgent
		o.MendsNothing = true
		if again := playback.RunBacktest(p, &l.rec, o); !cmp.Equal(b, again) {
			t.Fatalf("nothing is unknown, but the bounds differ:\n%s", cmp.Diff(b, again))
		}
	})
	if urgent == 0 || untrained == 0 { // 23 and 19 on average with -short
		t.Errorf("of %d runs in all %d are urgent, %d untrained", starts, urgent, untrained)
	}
}

// steps returns a record with one report for each of these numbers of wrong answers, at equal intervals.
func steps(t *testing.T, every time.Duration, wrongs ...int) *playback.Record {
	rec := &playback.Record{}
	for i, n := range wrongs {
		r := wrong(healthy(t), n)
		r.At, r.Seq = noon(t).Add(time.Duration(i)*every), int64(n)
		rec.Reports = append(rec.Reports, r)
	}
	return rec
}

// always returns a policy with one condition and no quiet hours.
func always(t *testing.T, points float64) policy.Config {
	c := policy.Defaults()
	c.RetrainWhen.AccuracyDrop = &policy.AccuracyDrop{Points: unit.Points(points)}
	c.Limits.Cooldown = unit.Duration(hour)
	c.Limits.Budget = unit.Rate{}
	return c
}

// What a simulated retrain would have fixed is unknown. Therefore the conditions that caused it count once, or again
// and again; the truth is between the two results.
func TestBacktestBounds(t *testing.T) {
	t.Parallel()
	rec := steps(t, 6*hour, 0, 0, 30, 30, 30, 30, 0, 30)
	p := compile(t, always(t, 3), time.UTC)
	o := playback.BacktestOptions{Took: hour, GPU: hour / 4, Floor: 0.85}
	least := playback.RunBacktest(p, rec, o)
	o.MendsNothing = true
	most := playback.RunBacktest(p, rec, o)
	if least.Now.Retrains != 2 || least.Now.GPU != hour/2 || least.Now.Below != hour {
		t.Errorf("lower bound: %+v", least.Now)
	}
	// A run takes an hour and its cooldown another: while the accuracy is low, a run starts every two hours.
	if most.Now.Retrains != 13 || most.Now.Below != 24*hour || most.Then.Below != 24*hour {
		t.Errorf("upper bound: %+v, recorded %+v", most.Now, most.Then)
	}
	if len(least.Divergences) != 2 || !least.Divergences[0].At.Equal(rec.Reports[2].At) || least.Divergences[0].Run != "" {
		t.Errorf("changes: %+v", least.Divergences)
	}
	if least.Evaluations != 8 || least.Then.Retrains != 0 {
		t.Errorf("%+v", least)
	}
}

// A recorded run that this policy would not have started is listed with the policy's decision; a forced one is
// replayed.
func TestBacktestNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	rec := steps(t, hour, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	at := rec.Reports[1].At
	rec.Runs = []playback.RecordedRun{
		{RunFact: policy.RunFact{ID: "auto", Started: at, Ended: at.Add(hour), Outcome: policy.OutcomePromoted}, GPU: hour},
		{RunFact: policy.RunFact{
			ID: "forced", Started: at.Add(9 * hour), Ended: at.Add(10 * hour),
			Outcome: policy.OutcomePromoted, Forced: true,
		}, GPU: hour},
	}
	rec.Decisions = []playback.DecisionFact{
		{At: at, Verdict: policy.VerdictRetrain},
		{At: at, Verdict: policy.VerdictRetrain, Run: "auto"},
		{At: at.Add(2 * hour), Verdict: policy.VerdictRollback, Run: "undo"}, // no retrain, so it has no delay
	}
	b := playback.RunBacktest(compile(t, always(t, 20), time.UTC), rec, playback.BacktestOptions{})
	if b.Now.Retrains != 1 || b.Now.Forced != 1 || b.Then.Retrains != 2 || b.Then.Forced != 1 || b.Now.GPU != hour {
		t.Errorf("then %+v, now %+v", b.Then, b.Now)
	}
	if len(b.Divergences) != 1 || b.Divergences[0].Run != "auto" || b.Divergences[0].Text == "" {
		t.Errorf("changes: %+v", b.Divergences)
	}
	same := playback.RunBacktest(compile(t, always(t, 3), time.UTC), rec, playback.BacktestOptions{})
	if len(same.Divergences) != 0 || !slices.Equal(same.Now.Delays, same.Then.Delays) {
		t.Errorf("then %+v, now %+v, changes %+v", same.Then, same.Now, same.Divergences)
	}
}

// The minimum number of items is that of this policy, not that of the record.
func TestBacktestOtherMinItems(t *testing.T) {
	t.Parallel()
	rec := steps(t, hour, 30, 30)
	for i := range rec.Reports {
		rec.Reports[i].State, rec.Reports[i].Detail = drift.StateInsufficient, "300 are fewer than 500"
	}
	c := always(t, 3)
	if b := playback.RunBacktest(compile(t, c, time.UTC), rec, playback.BacktestOptions{}); b.Now.Retrains != 1 {
		t.Errorf("300 items are enough for 200: %+v", b.Now)
	}
	c.Evaluate.MinItems = 301
	if b := playback.RunBacktest(compile(t, c, time.UTC), rec, playback.BacktestOptions{}); b.Now.Retrains != 0 {
		t.Errorf("300 items are fewer than 301: %+v", b.Now)
	}
}

// A first release that the record does not have exists once its simulated run has ended, whatever the later record
// contains.
func TestBacktestFirstRelease(t *testing.T) {
	t.Parallel()
	rec := steps(t, hour, 0, 0, 0, 0, 0, 0)
	for i := range rec.Reports {
		rec.Reports[i].State, rec.Reports[i].Release, rec.Reports[i].Baseline = drift.StateNoRelease, "", nil
	}
	c := always(t, 3)
	c.Limits.Cooldown = 0
	for _, nothing := range []bool{false, true} {
		b := playback.RunBacktest(compile(t, c, time.UTC), rec,
			playback.BacktestOptions{Took: time.Minute, MendsNothing: nothing})
		if b.Now.Retrains != 1 || len(b.Divergences) != 1 {
			t.Errorf("mends nothing %t: %d retrains, %d changes", nothing, b.Now.Retrains, len(b.Divergences))
		}
	}
}

// A condition on the age of the release trips between two reports, whether it is urgent or not.
func TestAgeTripsBetweenReports(t *testing.T) {
	t.Parallel()
	c := policy.Defaults()
	aged := policy.Conditions{MaxAge: &policy.MaxAge{Age: unit.Duration(10*day + 2*hour)}}
	expression := policy.Conditions{When: &policy.When{Expression: "age_hours >= 242"}}
	for name, tc := range map[string]struct{ retrain, urgent policy.Conditions }{
		"max_age":        {retrain: aged},
		"urgent max_age": {urgent: aged},
		"when":           {retrain: expression},
		"urgent when":    {urgent: expression},
	} {
		c.RetrainWhen, c.UrgentWhen = tc.retrain, tc.urgent
		p := compile(t, c, time.UTC)
		b := playback.RunBacktest(p, steps(t, 6*hour, 0, 0), playback.BacktestOptions{Took: hour})
		if want := noon(t).Add(2 * hour); len(b.Divergences) != 1 || !b.Divergences[0].At.Equal(want) {
			t.Errorf("%s: a backtest starts at %+v, want %s", name, b.Divergences, want)
		}
		if c.RetrainWhen.When != nil || c.UrgentWhen.When != nil {
			continue // a policy test evaluates at its steps only
		}
		want := []unit.Duration{unit.Duration(2 * hour)}
		r := playback.RunCase(p, playback.Case{
			Start: "2026-11-18 12:00", Step: unit.Duration(6 * hour), HeldOut: 500, Items: 5000, Age: unit.Duration(10 * day),
			Series: map[string]string{"accuracy": "90%x2"}, Runs: playback.CaseRuns{
				Take: unit.Duration(hour), Outcome: policy.OutcomePromoted,
			},
			Expect: []playback.Expectation{{Starts: &want}},
		})
		if !r.Passed() {
			t.Errorf("%s: a policy test: %+v", name, r)
		}
	}
}

// After a rollback no run starts until labels or steps change. The record shows a change of the steps at the next run.
func TestBacktestChangedCode(t *testing.T) {
	t.Parallel()
	rec := steps(t, hour, 30, 30, 30, 30, 30, 30, 30, 30)
	at := rec.Reports[0].At
	rec.Runs = []playback.RecordedRun{
		{RunFact: policy.RunFact{
			ID: "first", Started: at, Ended: at.Add(hour), Outcome: policy.OutcomeRolledBack, Code: "old",
		}},
		{RunFact: policy.RunFact{
			ID: "second", Started: at.Add(6 * hour), Ended: at.Add(7 * hour), Outcome: policy.OutcomePromoted, Code: "new",
		}},
	}
	c := always(t, 3)
	c.Limits.Cooldown = unit.Duration(2 * hour)
	p := compile(t, c, time.UTC)
	b := playback.RunBacktest(p, rec, playback.BacktestOptions{Took: hour})
	if len(b.Divergences) != 0 || b.Now.Retrains != 2 {
		t.Errorf("changed steps: %+v", b)
	}
	rec.Runs[1].Code = "old"
	b = playback.RunBacktest(p, rec, playback.BacktestOptions{Took: hour})
	const want = "neither labels nor code changed since run first"
	if len(b.Divergences) != 1 || b.Divergences[0].Run != "second" || !strings.Contains(b.Divergences[0].Text, want) {
		t.Errorf("the same steps: %+v", b)
	}
}
