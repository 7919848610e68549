package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// historyRuns is how many runs the policy looks back on.
const historyRuns = 100

// force is a retrain that somebody demanded, as kept in the store until its run is created.
type force struct {
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	Pipeline string    `json:"pipeline,omitempty"`
	At       time.Time `json:"at"`
}

// history gathers what the policy must know beside the report, and hands a run that the engine has not got yet over to
// it again; queued says that there is one.
func (k *keeper) history(ctx context.Context) (h policy.History, queued bool, err error) {
	var plan *actions.Plan
	h.Last, h.Reading = k.before, k.reading()
	err = k.d.store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(k.name)
		if err != nil {
			return err
		}
		h.Info = row.Info
		if row.Force != "" {
			var f force
			if err := json.Unmarshal([]byte(row.Force), &f); err != nil {
				return err
			}
			h.Force = &policy.Force{By: f.By, Reason: f.Reason}
		}
		if err := stopped(t, row, &h); err != nil {
			return err
		}
		runs, err := t.Runs(k.name, historyRuns)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.State != "ended" {
				h.Active = r.ID
				if r.State == "queued" {
					plan = &actions.Plan{}
					if err := json.Unmarshal([]byte(r.Plan), plan); err != nil {
						return err
					}
				}
				continue
			}
			started := r.Started
			if started.IsZero() {
				started = r.Created
			}
			fact := policy.RunFact{ID: r.ID, Started: started, Ended: r.Ended, Outcome: policy.Outcome(r.Outcome), Forced: r.Forced, Info: r.Info, Text: r.Reason}
			if fact.Outcome == policy.OutcomeBlocked || fact.Outcome == policy.OutcomeRejected || fact.Outcome == policy.OutcomeRolledBack {
				sum, err := actions.ReadSummary(r.Result)
				if err != nil {
					return err
				}
				fact.Why, fact.Undoes = sum.Result.Why, sum.Undoes
			}
			h.Runs = append(h.Runs, fact)
		}
		pipeline := k.pipeline(row)
		expected, err := expect(t, k.name, pipeline, k.rule.model.Pipeline[pipeline])
		h.Needs = expected.Total
		return err
	})
	if err == nil && plan != nil {
		err = k.d.engine.Submit(*plan)
	}
	return h, plan != nil, err
}

// pipeline is the one that is to run next.
func (k *keeper) pipeline(row store.Model) string {
	var f force
	if row.Force != "" && json.Unmarshal([]byte(row.Force), &f) == nil && f.Pipeline != "" {
		return f.Pipeline
	}
	return configs.DefaultPipeline
}

// start creates the run that a decision asks for, with its plan fixed, and hands it to the engine.
func (k *keeper) start(ctx context.Context, d policy.Decision, h policy.History) error {
	return k.begin(ctx, d, []store.ModelField{store.Intent, store.Force}, func(t *store.Tx, row store.Model) (actions.Plan, error) {
		return k.plan(t, row, d, h)
	})
}

// begin stores the run of a decision, unless another one is open, and what it settles; then the engine gets it.
func (k *keeper) begin(ctx context.Context, d policy.Decision, settled []store.ModelField, fix func(*store.Tx, store.Model) (actions.Plan, error)) error {
	var plan actions.Plan
	created := false
	err := k.d.store.Update(ctx, "run begins", func(t *store.Tx) error {
		open, err := t.OpenRuns()
		if err != nil {
			return err
		}
		if created = !slices.ContainsFunc(open, func(r store.Run) bool { return r.Model == k.name }); !created {
			return nil
		}
		row, err := t.Model(k.name)
		if err != nil {
			return err
		}
		if plan, err = fix(t, row); err != nil {
			return err
		}
		n, err := t.AddDecision(store.Decision{Model: k.name, At: d.At, Verdict: string(d.Verdict), Reason: string(d.Reason), Run: plan.Run, Body: mustJSON(d)})
		if err != nil {
			return err
		}
		plan.Decision = n
		if _, err := t.AddRun(store.Run{ID: plan.Run, Model: k.name, Pipeline: plan.Pipeline, Trigger: plan.Trigger, Forced: plan.Forced, State: "queued", Info: row.Info, Plan: mustJSON(plan), Created: plan.Created}); err != nil {
			return err
		}
		for _, field := range settled {
			if err := t.SetModel(k.name, field, ""); err != nil {
				return err
			}
		}
		return k.notify(t, notify.RunStarted, plan.Run, notify.Started{Run: plan.Run, Pipeline: plan.Pipeline, Reason: plan.Trigger, Steps: plan.Titles()})
	})
	if err != nil || !created {
		return err
	}
	k.log.Info("run begins", "run_id", plan.Run, "reason", plan.Trigger)
	return k.d.engine.Submit(plan)
}

func (k *keeper) plan(t *store.Tx, row store.Model, d policy.Decision, h policy.History) (actions.Plan, error) {
	pipeline := k.pipeline(row)
	steps, ok := k.rule.model.Pipeline[pipeline]
	if !ok {
		return actions.Plan{}, fmt.Errorf("model %s has no pipeline %q", k.name, pipeline)
	}
	run, err := newRun()
	if err != nil {
		return actions.Plan{}, err
	}
	expected, err := expect(t, k.name, pipeline, steps)
	if err != nil {
		return actions.Plan{}, err
	}
	resolved := actions.Resolve(steps, k.d.self)
	for i := range resolved {
		if resolved[i].Checkpoints {
			resolved[i].Rest = expected.rest(i)
		}
	}
	return actions.Plan{
		Run: run, Model: k.name, Pipeline: pipeline, Trigger: d.Text, Forced: h.Force != nil, Policy: d.PolicyDigest,
		Created: time.Now().UTC(), Champion: row.Champion, Steps: resolved, Until: k.rule.policy.Leaves(&d), Promote: k.rule.model.Promote,
		Probation: k.rule.model.Policy.Probation,
		Serving:   k.rule.model.Serving, ModelDir: k.d.modelDir(k.name), RunDir: filepath.Join(k.d.modelDir(k.name), "runs", run),
	}, nil
}

// newRun is the id of a run: in the order of time.
func newRun() (string, error) {
	id, err := ulid.New(ulid.Timestamp(time.Now()), rand.Reader)
	return strings.ToLower(id.String()), err
}
