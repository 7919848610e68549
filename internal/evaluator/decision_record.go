package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// record stores the report, the decision, the state of the sequential tests, and the events about them in one
// transaction.
func (l *Loop) record(ctx context.Context, r drift.Report, d policy.Decision, last *policy.Decision,
	fresh arrivals,
) error {
	state, err := l.monitor.State()
	if err != nil {
		return err
	}
	return l.o.Store.Update(ctx, "evaluation", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if row.Champion != r.Release {
			return errStale
		}
		if err := t.SetModel(l.name, store.Applied, l.monitor.Seq()); err != nil {
			return err
		}
		if err := t.SetModel(l.name, store.Monitor, string(state)); err != nil {
			return err
		}
		if err := t.AddReport(store.Report{
			Model: l.name, At: r.At, Seq: r.Seq, State: string(r.State), Accuracy: r.Accuracy,
			Body: mustJSON(r),
		}); err != nil {
			return err
		}
		if _, err := t.AddDecision(store.Decision{
			Model: l.name, At: d.At, Verdict: string(d.Verdict),
			Reason: string(d.Reason), Body: mustJSON(d),
		}); err != nil {
			return err
		}
		if fresh.changes > 0 {
			if err := l.notify(t, notify.LabelsReceived, "",
				notify.Labels{
					Source: strings.Join(fresh.sources, ","), Changes: fresh.changes, Own: fresh.own,
					Watermark: r.Seq,
				}); err != nil {
				return err
			}
		}
		data := driftData(r, d)
		if err := l.notify(t, notify.DriftMeasured, "", data); err != nil {
			return err
		}
		switch was, is := last != nil && tripped(*last), tripped(d); {
		case is && !was:
			if err := l.notify(t, notify.DriftTripped, "", data); err != nil {
				return err
			}
		case was && !is:
			if err := l.notify(t, notify.DriftCleared, "", data); err != nil {
				return err
			}
		}
		if last != nil && essence(*last) == essence(d) {
			return nil
		}
		if err := l.notify(t, notify.DecisionMade, "",
			notify.Decision{
				Verdict: string(d.Verdict), Reasons: reasons(d), Conditions: data.Conditions,
				Digest: d.PolicyDigest,
			}); err != nil {
			return err
		}
		return l.intend(t, d)
	})
}

// errStale means that the champion or the newest run has changed since the monitor was built or the service was asked.
var errStale = errors.New("the monitor's release no longer serves")

// intend stores a decision to retrain, so that it waits in the store and not in a goroutine. It removes the stored
// decision when no retrain is due any longer.
func (l *Loop) intend(t *store.Tx, d policy.Decision) error {
	row, err := t.Model(l.name)
	if err != nil {
		return err
	}
	if d.Verdict != policy.VerdictRetrain {
		if row.Intent == "" {
			return nil
		}
		return t.SetModel(l.name, store.Intent, "")
	}
	if err := t.SetModel(l.name, store.Intent, mustJSON(d)); err != nil || len(d.Blocked) == 0 {
		return err
	}
	b := d.Blocked[0]
	if b.Reason == policy.ReasonRunActive {
		return nil // the run exists already
	}
	return l.notify(t, notify.RunScheduled, "",
		notify.Scheduled{Pipeline: l.pipeline(row), Reason: d.Text, NotBefore: b.Until, Waits: b.Text})
}

func (l *Loop) notify(t *store.Tx, kind notify.Kind, run string, data any) error {
	return actions.Notify(t, l.o.Host, kind, l.name, run, data)
}

func driftData(r drift.Report, d policy.Decision) notify.Drift {
	out := notify.Drift{Release: r.Release, State: string(r.State), Drop: r.Drop, Watermark: r.Seq}
	if r.Scored > 0 {
		out.Now = &notify.Metrics{Accuracy: r.Accuracy, Low: r.Low, High: r.High, MacroF1: r.MacroF1, N: r.Scored}
	}
	if b := r.Baseline; b != nil {
		low, high := stats.Wilson(b.Correct, b.N)
		out.Baseline = &notify.Metrics{Accuracy: b.Accuracy, Low: low, High: high, MacroF1: b.MacroF1, N: b.N}
	}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, notify.Target{
			Name: t.Name, Accuracy: t.Accuracy, Low: t.Low, High: t.High, MacroF1: t.MacroF1, N: t.N, Correct: t.Correct,
		})
	}
	for _, c := range d.Conditions {
		out.Conditions = append(out.Conditions,
			notify.Condition{Name: c.Name, Value: c.Value, Bound: c.Bound, True: c.Tripped, Text: c.Text})
	}
	return out
}

func tripped(d policy.Decision) bool {
	for _, c := range d.Conditions {
		if c.Tripped {
			return true
		}
	}
	return false
}

func reasons(d policy.Decision) []string {
	var out []string
	if d.Reason != "" {
		out = append(out, string(d.Reason))
	}
	for _, b := range d.Blocked {
		if string(b.Reason) != string(d.Reason) {
			out = append(out, string(b.Reason))
		}
	}
	return out
}

// essence returns the part of a decision whose change counts as a new decision. It leaves out the figures, because
// they change all the time, but verdicts do not.
func essence(d policy.Decision) string {
	type short struct {
		Verdict, Reason string
		Tripped         []string
		Pending         []string // breached, but not for long enough
		Blocked         []string
		Policy, Release string
	}
	s := short{
		Verdict: string(d.Verdict), Reason: string(d.Reason), Blocked: reasons(d), Policy: d.PolicyDigest,
		Release: d.Release,
	}
	for _, c := range d.Conditions {
		if c.Tripped {
			s.Tripped = append(s.Tripped, c.Name)
		}
		if !c.Trips.IsZero() {
			s.Pending = append(s.Pending, c.Name)
		}
	}
	return mustJSON(s)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("evaluator: " + err.Error()) // only the package's own records are encoded; NaN is refused where figures are computed
	}
	return string(b)
}
