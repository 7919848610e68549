package evaluator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// historyRuns is the number of past runs that the policy considers (with a budget it may be more), and from which
// durations are computed.
const historyRuns = 100

// pastRuns returns the newest runs: all that a budget may count, and at least historyRuns.
func (l *Loop) pastRuns(t *store.Tx, now time.Time) ([]store.Run, error) {
	active := l.rules.Model.Policy
	period := active.Limits.Budget.Per.D()
	if s := l.rules.Model.Shadow; s != nil {
		period = max(period, s.Over(active).Limits.Budget.Per.D())
	}
	for most := historyRuns; ; most *= 2 {
		runs, err := t.Runs(l.name, most)
		if err != nil || len(runs) < most || runs[most-1].Created.Before(now.Add(-period)) {
			return runs, err
		}
	}
}

// history collects the policy's inputs other than the report. If a run is queued, it passes the run to the engine
// again and returns queued = true.
func (l *Loop) history(ctx context.Context) (h policy.History, queued bool, err error) {
	var plan *actions.Plan
	h.Last, h.Reading = l.before, l.reading()
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		h.Info = row.Info
		if row.Force != "" {
			var f Demand
			if err := json.Unmarshal([]byte(row.Force), &f); err != nil {
				return err
			}
			h.Force = &policy.Force{By: f.By, Reason: f.Reason}
		}
		if err := ReadStops(t, row, &h); err != nil {
			return err
		}
		if l.orders, err = ordersOf(t, row); err != nil {
			return err
		}
		runs, err := l.pastRuns(t, time.Now())
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.State != store.RunEnded {
				h.Active = r.ID
				if r.State == store.RunQueued {
					plan = &actions.Plan{}
					if err := json.Unmarshal([]byte(r.Plan), plan); err != nil {
						return err
					}
				}
				continue
			}
			fact, err := FactOf(t, r)
			if err != nil {
				return err
			}
			if fact.Outcome == policy.OutcomeRolledBack && fact.Info == row.Info {
				h.Code, h.CodeOf = l.code(l.pipeline(row)), map[string]string{}
				for _, pipeline := range l.rules.Model.Policy.Pipelines() {
					h.CodeOf[pipeline] = l.code(pipeline)
				}
			}
			h.Runs = append(h.Runs, fact)
		}
		pipeline := l.pipeline(row)
		expected, err := Expect(t, l.name, pipeline, l.rules.Model.Steps(pipeline))
		h.Needs = expected.Total
		if err != nil {
			return err
		}
		h.NeedsOf, err = l.needsOf(t)
		return err
	})
	if err == nil && plan != nil {
		err = l.o.Runs.Submit(*plan)
	}
	return h, plan != nil, err
}

// code returns the digest of a pipeline's present steps and of the files that they name.
func (l *Loop) code(pipeline string) string {
	m := l.rules.Model
	return actions.CodeDigest(actions.Resolve(m.Steps(pipeline), m.Deploy, l.o.Self), m.Serving)
}

// FactOf returns what decisions use of a run. It sets Code only if the run was rolled back, because no rule needs it
// for other runs.
func FactOf(t *store.Tx, r store.Run) (policy.RunFact, error) {
	fact := policy.RunFact{
		ID: r.ID, Started: r.Started, Ended: r.Ended, Outcome: policy.Outcome(r.Outcome), Forced: r.Forced, Info: r.Info,
		Text: r.Reason,
	}
	if fact.Started.IsZero() {
		fact.Started = r.Created
	}
	switch fact.Outcome {
	case policy.OutcomeBlocked, policy.OutcomeRejected, policy.OutcomeRolledBack:
		sum, err := actions.ReadSummary(r.Result)
		if err != nil {
			return fact, fmt.Errorf("run %s: %w", r.ID, err)
		}
		fact.Why, fact.Undoes = sum.Result.Why, sum.Undoes
	case policy.OutcomeFailed:
		var err error
		if fact.Untrained, err = untrained(t, r); err != nil {
			return fact, err
		}
	case policy.OutcomePromoted, policy.OutcomeCancelled:
	}
	if fact.Outcome == policy.OutcomeRolledBack {
		var plan actions.Plan
		if err := readPlan(r, &plan); err != nil {
			return fact, err
		}
		fact.Code = plan.Code
	}
	return fact, nil
}

// untrained reports whether a failed run has begun only export steps.
func untrained(t *store.Tx, r store.Run) (bool, error) {
	var plan actions.Plan
	if err := readPlan(r, &plan); err != nil {
		return false, err
	}
	exports := map[string]bool{}
	for _, s := range plan.Steps {
		if s.Do == actions.DoExport {
			exports[s.Name] = true
		}
	}
	steps, err := t.Steps(r.ID)
	return len(steps) > 0 && !slices.ContainsFunc(steps, func(s store.Step) bool {
		return s.Kind == string(actions.ActDo) && !exports[s.Name]
	}), err
}

// needsOf returns the expected duration of each pipeline that a condition names.
func (l *Loop) needsOf(t *store.Tx) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, pipeline := range l.rules.Model.Policy.Pipelines() {
		expected, err := Expect(t, l.name, pipeline, l.rules.Model.Steps(pipeline))
		if err != nil {
			return nil, err
		}
		out[pipeline] = expected.Total
	}
	return out, nil
}

// pipeline returns the name of the pipeline that a stored request names, else of the default one. A pipeline that a
// condition names is not considered here (see plan).
func (l *Loop) pipeline(row store.Model) string {
	var f Demand
	if row.Force != "" && json.Unmarshal([]byte(row.Force), &f) == nil && f.Pipeline != "" {
		return f.Pipeline
	}
	return configs.DefaultPipeline
}

// reading reports whether the first read of the labels is still in progress. If the last decision, possibly of an
// earlier process, did not lack data, the first read has ended, and a present read follows a restart.
func (l *Loop) reading() bool {
	waits := func(b policy.Blocker) bool { return b.Reason == policy.ReasonInsufficientData }
	if l.last != nil && !slices.ContainsFunc(l.last.Blocked, waits) {
		return false
	}
	return l.o.Labels.Reading()
}
