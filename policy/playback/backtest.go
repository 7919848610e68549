package playback

import (
	"slices"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// Record is a model's recorded history, whatever policy was active. All lists are in order of time.
type Record struct {
	Reports   []drift.Report
	Decisions []DecisionFact
	Runs      []RecordedRun
}

// DecisionFact is a recorded decision without its conditions.
type DecisionFact struct {
	At      time.Time
	Verdict policy.Verdict
	Run     string // the run that it started, if any
	Forced  bool
	Urgent  bool
}

// RecordedRun is a run with its GPU time. If its Code is empty, the rule that no run repeats a rolled-back one with the
// same labels and code does not apply to it.
type RecordedRun struct {
	policy.RunFact
	GPU time.Duration
}

// BacktestOptions are assumptions about facts that a record does not contain.
type BacktestOptions struct {
	// Needs, Took and GPU are assumed for each simulated run: how long the quiet hours must last for it, its usual
	// duration, and its GPU time.
	Needs, Took, GPU time.Duration
	// Floor is the accuracy for Totals.Below; with 0 that total stays 0.
	Floor float64
	// MendsNothing selects the pessimistic assumption that simulated retrains fix no configured condition. Without it, a
	// simulated retrain is assumed to fix the conditions that caused it, until the record shows another release, or shows
	// that the condition cleared.
	MendsNothing bool
}

// Backtest is the result of RunBacktest.
type Backtest struct {
	Model       string
	From, To    time.Time
	Evaluations int
	Then, Now   Totals
	Divergences []Divergence
}

// Totals summarizes the effect of one policy.
type Totals struct {
	Retrains int
	Urgent   int // of them, those that did not wait for quiet hours
	Forced   int
	// Delays are how long each retrain that was not forced waited after a condition first made it due.
	Delays []time.Duration
	// Waiting is the total time in which a retrain was due and none ran.
	Waiting time.Duration
	// Below is the total time in which the known accuracy was below the floor.
	Below time.Duration
	Run   time.Duration // all runs together
	GPU   time.Duration
}

// Delay returns the median of the delays, 0 if there are none.
func (s Totals) Delay() time.Duration {
	if len(s.Delays) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.Delays))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Divergence is a start of a run under only one of the two policies.
type Divergence struct {
	At   time.Time
	Run  string // the recorded run that would not have started; empty for a simulated one
	Text string // why
}

// RunBacktest makes the decisions that p would have made on a record, with the runs that p would have started. It
// decides at each recorded report, and in between whenever the daemon would evaluate again. It is deterministic.
//
// The record does not contain the effect of a simulated retrain on the accuracy. Until the record shows another
// release, the recorded figures are those of the old model, which the retrain would have replaced; see MendsNothing.
// Holds and pauses are not replayed. A forced run is replayed, because a person requested it under any policy.
func RunBacktest(p *policy.Policy, rec *Record, o BacktestOptions) Backtest {
	b := Backtest{Evaluations: len(rec.Reports)}
	if len(rec.Reports) == 0 {
		return b
	}
	b.Model, b.From, b.To = rec.Reports[0].Model, rec.Reports[0].At, rec.Reports[len(rec.Reports)-1].At
	b.Then = rec.side(b.From, b.To, o.Floor)
	r := newReplay(p, rec, o, &b)
	for i := range rec.Reports {
		report := &rec.Reports[i]
		until := b.To
		if i+1 < len(rec.Reports) {
			until = rec.Reports[i+1].At
		}
		r.evaluation(report, until)
	}
	r.finish()
	return b
}

// side summarizes the recorded runs and decisions.
func (rec *Record) side(from, to time.Time, floor float64) Totals {
	var s Totals
	for _, run := range rec.Runs {
		if run.Started.Before(from) {
			continue
		}
		s.Retrains++
		if run.Forced {
			s.Forced++
		}
		s.Run += max(0, run.Ended.Sub(run.Started))
		s.GPU += run.GPU
	}
	var since time.Time
	for _, d := range rec.Decisions {
		switch {
		case d.At.Before(from):
		case d.Run != "" && d.Verdict == policy.VerdictRetrain:
			wait := time.Duration(0)
			if !since.IsZero() {
				wait = d.At.Sub(since)
			}
			s.Waiting += wait
			if !d.Forced {
				s.Delays = append(s.Delays, wait)
				if d.Urgent {
					s.Urgent++
				}
			}
			since = time.Time{}
		case d.Verdict != policy.VerdictRetrain || d.Forced || rec.running(d.At):
			if !since.IsZero() {
				s.Waiting += d.At.Sub(since)
			}
			since = time.Time{}
		case since.IsZero():
			since = d.At
		}
	}
	if !since.IsZero() {
		s.Waiting += to.Sub(since)
	}
	for i := range rec.Reports {
		if i+1 < len(rec.Reports) && below(&rec.Reports[i], floor) {
			s.Below += rec.Reports[i+1].At.Sub(rec.Reports[i].At)
		}
	}
	return s
}

// running reports whether a recorded run was active.
func (rec *Record) running(at time.Time) bool {
	for i := len(rec.Runs) - 1; i >= 0; i-- {
		if run := &rec.Runs[i]; run.Started.Before(at) {
			return run.Ended.IsZero() || run.Ended.After(at)
		}
	}
	return false
}

func below(r *drift.Report, floor float64) bool {
	return r.State == drift.StateOK && r.Scored > 0 && r.Accuracy < floor
}
