package playback

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// replay is the state of a backtest.
type replay struct {
	policy  *policy.Policy
	rec     *Record
	o       BacktestOptions
	out     *Backtest
	history policy.History
	last    policy.Decision

	seq      int64             // position of the labels whose digest is history.Info
	ends     time.Time         // of the active run; zero without one
	since    time.Time         // since when a retrain is due; zero if none is
	next     int               // index of the first recorded run that is still to be searched for forced runs
	release  string            // of the last report
	mended   bool              // the record's figures are those of a model that the simulation replaced
	mendedAt time.Time         // when the simulated retrain would have been deployed
	coded    int               // index of the first recorded run that has not set history.Code yet
	matched  map[string]bool   // recorded runs that this policy also starts
	seen     int               // index of the first recorded run that was not compared yet
	missed   map[string]string // recorded runs that this policy did not start, with the text of its decision
}

// near is the maximum time between a decision and the recorded start that it caused, because a run is first created and
// queued.
const near = 10 * time.Minute

func newReplay(p *policy.Policy, rec *Record, o BacktestOptions, out *Backtest) *replay {
	r := &replay{policy: p, rec: rec, o: o, out: out, seq: -1, matched: map[string]bool{}, missed: map[string]string{}}
	r.history.Needs, r.history.Mended = o.Needs, map[string]bool{}
	for ; r.next < len(rec.Runs) && rec.Runs[r.next].Started.Before(out.From); r.next++ {
		before := rec.Runs[r.next].RunFact
		before.Info = "before" // differs from every digest of the record
		r.history.Runs = append([]policy.RunFact{before}, r.history.Runs...)
	}
	return r
}

// evaluation decides on a report at the report's time, and again whenever an evaluation is due before until.
func (r *replay) evaluation(report *drift.Report, until time.Time) {
	if report.Release != r.release {
		r.release, r.mended, r.mendedAt = report.Release, false, time.Time{}
		clear(r.history.Mended)
	}
	if report.Seq != r.seq {
		r.seq, r.history.Info = report.Seq, strconv.FormatInt(report.Seq, 10)
	}
	adjusted := r.adjust(report)
	r.decide(adjusted, report.At)
	for at := report.At; ; {
		due := r.due(adjusted, at, until)
		if due.IsZero() {
			break
		}
		r.decide(adjusted, due)
		at = due
	}
	if r.o.Floor > 0 && below(report, r.o.Floor) {
		end := until
		if r.mended && r.mendedAt.Before(end) {
			end = r.mendedAt
		}
		r.out.Now.Below += max(0, end.Sub(report.At))
	}
	for ; r.seen < len(r.rec.Runs) && r.rec.Runs[r.seen].Started.Before(until); r.seen++ {
		if run := &r.rec.Runs[r.seen]; !run.Forced && !r.matched[run.ID] && !run.Started.Before(r.out.From) {
			d := r.unmended(adjusted, run)
			if r.missed[run.ID] = d.Text; d.Start() {
				r.missed[run.ID] = "an earlier retrain of this policy is assumed to have fixed it"
			}
		}
	}
}

// adjust returns the report as this policy would see it: with the state that follows from its min_items, and with the
// age of a simulated release.
func (r *replay) adjust(report *drift.Report) *drift.Report {
	state := report.State
	if state == drift.StateOK || state == drift.StateInsufficient {
		state = drift.StateOK
		if report.Scored < r.policy.Config().Evaluate.MinItems || report.Scored == 0 {
			state = drift.StateInsufficient
		}
	}
	older := !r.mendedAt.IsZero() && report.Baseline != nil && report.Baseline.At.Before(r.mendedAt)
	if state == report.State && !older {
		return report
	}
	adjusted := *report
	adjusted.State = state
	if older {
		baseline := *report.Baseline
		baseline.At = r.mendedAt
		adjusted.Baseline = &baseline
	}
	return &adjusted
}

// conditions returns what is configured under retrain_when and under urgent_when.
func conditions(p *policy.Policy) [2]policy.Conditions {
	c := p.Config()
	return [2]policy.Conditions{c.RetrainWhen, c.UrgentWhen}
}

// due returns the next time before until at which the daemon would evaluate without a new report; zero if there is
// none.
func (r *replay) due(report *drift.Report, at, until time.Time) time.Time {
	next := until
	sooner := func(t time.Time) {
		if t.After(at) && t.Before(next) {
			next = t
		}
	}
	if r.last.Verdict == policy.VerdictRetrain {
		for _, b := range r.last.Blocked {
			sooner(b.Until)
		}
	}
	for _, c := range r.last.Conditions {
		sooner(c.Trips)
	}
	sooner(r.ends)
	if forced := r.forced(); forced != nil {
		sooner(forced.Started)
	}
	every := r.policy.Config().Evaluate.Every.D()
	for _, c := range conditions(r.policy) {
		if c.MaxAge != nil && report.Baseline != nil {
			sooner(report.Baseline.At.Add(c.MaxAge.Age.D()))
		}
		if every > 0 && c.When != nil { // an expression may depend on the age
			sooner(at.Add(every))
		}
	}
	if !next.Before(until) {
		return time.Time{}
	}
	return next
}

// forced returns the next recorded run that a person requested; it skips runs that the recorded policy started.
func (r *replay) forced() *RecordedRun {
	for ; r.next < len(r.rec.Runs); r.next++ {
		if run := &r.rec.Runs[r.next]; run.Forced {
			return run
		}
	}
	return nil
}

// decide simulates one iteration of the daemon's loop.
func (r *replay) decide(report *drift.Report, now time.Time) {
	if !r.ends.IsZero() && !now.Before(r.ends) {
		r.history.Active, r.ends = "", time.Time{}
	}
	r.code(now)
	var demanded *RecordedRun
	if run := r.forced(); run != nil && !now.Before(run.Started) {
		demanded = run
		r.history.Force = &policy.Force{}
		r.next++
	}
	d := r.policy.Decide(*report, r.history, now)
	r.history.Force = nil
	r.last, r.history.Last = d, &d
	for _, c := range d.Conditions {
		if !c.Tripped { // the record shows that the condition cleared: it may trip again
			delete(r.history.Mended, c.Key())
		}
	}
	wanted := d.Verdict == policy.VerdictRetrain && !d.Forced && r.ends.IsZero()
	switch {
	case d.Start():
		r.start(report, &d, demanded, now)
	case demanded != nil: // another run is active
		r.out.Divergences = append(r.out.Divergences, Divergence{At: now, Run: demanded.ID, Text: "a run is active already"})
	case wanted && r.since.IsZero():
		r.since = now
	case !wanted && !r.since.IsZero():
		r.out.Now.Waiting += now.Sub(r.since)
		r.since = time.Time{}
	}
}

// start starts a run: the recorded run if there was one at about that time, else a simulated run of the usual duration.
func (r *replay) start(report *drift.Report, d *policy.Decision, demanded *RecordedRun, now time.Time) {
	run := policy.RunFact{
		ID: "would-be-" + strconv.Itoa(r.out.Now.Retrains+1), Started: now, Ended: now.Add(r.o.Took),
		Outcome: policy.OutcomePromoted, Forced: d.Forced, Info: r.history.Info,
	}
	gpu := r.o.GPU
	recorded := demanded
	if recorded == nil {
		recorded = r.recorded(now)
	}
	if recorded != nil {
		r.matched[recorded.ID] = true
		run, gpu = recorded.RunFact, recorded.GPU
		took := max(0, recorded.Ended.Sub(recorded.Started))
		run.Started, run.Ended, run.Info = now, now.Add(took), r.history.Info
	} else {
		r.out.Divergences = append(r.out.Divergences, Divergence{At: now, Text: d.Cause()})
		if report.State == drift.StateNoRelease {
			r.history.Mended[policy.NameNoRelease] = true
		}
		if !r.o.MendsNothing {
			r.mend(d, run.Ended)
		}
	}
	s := &r.out.Now
	s.Retrains++
	wait := time.Duration(0)
	if !r.since.IsZero() {
		wait = now.Sub(r.since)
	}
	s.Waiting += wait
	switch {
	case d.Forced:
		s.Forced++
	default:
		s.Delays = append(s.Delays, wait)
		if d.Urgent {
			s.Urgent++
		}
	}
	r.since = time.Time{}
	s.Run += run.Ended.Sub(run.Started)
	s.GPU += gpu
	r.history.Runs = append([]policy.RunFact{run}, r.history.Runs...)
	r.history.Active, r.ends = run.ID, run.Ended
	if !run.Ended.After(now) {
		r.history.Active, r.ends = "", time.Time{}
	}
}

// recorded returns the recorded run that a decision at this time started, nil if there is none.
func (r *replay) recorded(now time.Time) *RecordedRun {
	for i := range r.rec.Runs {
		run := &r.rec.Runs[i]
		if off := run.Started.Sub(now); !run.Forced && !r.matched[run.ID] && off > -time.Minute && off < near {
			return run
		}
	}
	return nil
}

// mend records the assumption that the retrain that starts now fixes the conditions that caused it.
func (r *replay) mend(d *policy.Decision, at time.Time) {
	for _, c := range d.Conditions {
		if c.Tripped && c.Config != "" {
			r.history.Mended[c.Key()] = true
		}
	}
	r.mended, r.mendedAt = true, at
}

// code sets the digest of the present steps to that of the latest recorded run, including one that starts now. The
// record does not show when the steps changed between two runs.
func (r *replay) code(now time.Time) {
	for ; r.coded < len(r.rec.Runs) && r.rec.Runs[r.coded].Started.Before(now.Add(near)); r.coded++ {
		r.history.Code = cmp.Or(r.rec.Runs[r.coded].Code, r.history.Code)
	}
}

// unmended returns the decision that this policy would have made at the start of a recorded run if simulated retrains
// had fixed nothing.
func (r *replay) unmended(report *drift.Report, run *RecordedRun) policy.Decision {
	h := r.history
	h.Mended, h.Code = nil, cmp.Or(run.Code, h.Code)
	return r.policy.Decide(*report, h, run.Started)
}

// finish closes the intervals that are still open at the end, and reports the recorded runs that would not have
// started.
func (r *replay) finish() {
	if !r.since.IsZero() {
		r.out.Now.Waiting += r.out.To.Sub(r.since)
	}
	for i := range r.rec.Runs {
		run := &r.rec.Runs[i]
		if text, ok := r.missed[run.ID]; ok && !r.matched[run.ID] {
			r.out.Divergences = append(r.out.Divergences, Divergence{At: run.Started, Run: run.ID, Text: text})
		}
	}
	slices.SortStableFunc(r.out.Divergences, func(a, b Divergence) int { return a.At.Compare(b.At) })
}
