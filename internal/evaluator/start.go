package evaluator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// start creates the run of a decision, with a fixed plan, and passes the run to the engine.
func (l *Loop) start(ctx context.Context, d policy.Decision, h policy.History) error {
	return l.begin(ctx, d, []store.ModelField{store.Intent, store.Force},
		func(t *store.Tx, row store.Model) (actions.Plan, error) {
			if err := l.checkOutdated(t, row); err != nil {
				return actions.Plan{}, err
			}
			return l.plan(t, row, d, h)
		})
}

// errOutdated means that a person has changed something since the decision was made, so that a new decision is
// required.
var errOutdated = errors.New("a request, a pause or the configuration has changed since the decision")

// checkOutdated returns errOutdated if a request, a hold or a pause has changed since the last decision. A run that
// began nevertheless would remove a stored request without carrying it out.
func (l *Loop) checkOutdated(t *store.Tx, row store.Model) error {
	is, err := ordersOf(t, row)
	if err == nil && is != l.orders {
		return errOutdated
	}
	return err
}

// ordersOf returns what people have stored about the runs of a model: the requested retrain, the holds and the pauses.
func ordersOf(t *store.Tx, row store.Model) (string, error) {
	var h policy.History
	err := ReadStops(t, row, &h)
	return mustJSON([]any{row.Force, h.Held, h.Paused, h.Stopped}), err
}

// begin stores the run of a decision with the plan that fix returns, clears the fields in settled, and then passes the
// run to the engine. It does nothing if another run of the model has not ended, and returns errOutdated if the
// configuration has been replaced.
func (l *Loop) begin(ctx context.Context, d policy.Decision, settled []store.ModelField,
	fix func(*store.Tx, store.Model) (actions.Plan, error),
) error {
	var plan actions.Plan
	created := false
	err := l.o.Store.Update(ctx, "run begins", func(t *store.Tx) error {
		open, err := t.OpenRuns()
		if err != nil {
			return err
		}
		if created = !slices.ContainsFunc(open, func(r store.Run) bool { return r.Model == l.name }); !created {
			return nil
		}
		if l.rulesReplaced() {
			return errOutdated
		}
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		if plan, err = fix(t, row); err != nil {
			return err
		}
		n, err := t.AddDecision(store.Decision{
			Model: l.name, At: d.At, Verdict: string(d.Verdict), Reason: string(d.Reason),
			Run: plan.Run, Body: mustJSON(d),
		})
		if err != nil {
			return err
		}
		plan.Decision = n
		if _, err := t.AddRun(store.Run{
			ID: plan.Run, Model: l.name, Pipeline: plan.Pipeline, Trigger: plan.Trigger,
			Forced: plan.Forced, State: store.RunQueued, Info: row.Info, Plan: mustJSON(plan),
			Created: plan.Created,
		}); err != nil {
			return err
		}
		for _, field := range settled {
			if err := t.SetModel(l.name, field, ""); err != nil {
				return err
			}
		}
		return l.notify(t, notify.RunStarted, plan.Run,
			notify.Started{Run: plan.Run, Pipeline: plan.Pipeline, Reason: plan.Trigger, Steps: plan.Titles()})
	})
	if err != nil || !created {
		return err
	}
	l.log.Info("run begins", "run_id", plan.Run, "reason", plan.Trigger)
	if err := l.o.Runs.Submit(plan); err != nil { // the run is stored: the next evaluation submits it again
		l.log.Warn("the engine does not accept the run yet", "run_id", plan.Run, "err", err)
	}
	return nil
}

func (l *Loop) plan(t *store.Tx, row store.Model, d policy.Decision, h policy.History) (actions.Plan, error) {
	pipeline := l.pipeline(row)
	if d.Pipeline != "" && !d.Forced {
		pipeline = d.Pipeline
	}
	return l.planOf(t, row, d, pipeline, h.Force != nil)
}

// planOf computes the plan of a new run of a pipeline. The plan does not change afterwards.
func (l *Loop) planOf(
	t *store.Tx, row store.Model, d policy.Decision, pipeline string, forced bool,
) (actions.Plan, error) {
	steps := l.rules.Model.Steps(pipeline)
	if len(steps) == 0 {
		return actions.Plan{}, fmt.Errorf("model %s has no pipeline %q", l.name, pipeline)
	}
	run, err := newRun()
	if err != nil {
		return actions.Plan{}, err
	}
	expected, err := Expect(t, l.name, pipeline, steps)
	if err != nil {
		return actions.Plan{}, err
	}
	resolved := actions.Resolve(steps, l.rules.Model.Deploy, l.o.Self)
	for i := range resolved {
		if resolved[i].Checkpoints {
			resolved[i].Rest = expected.rest(i)
		}
	}
	actions.MarkOllama(resolved, l.rules.Model.Serving, l.rules.Model.StopsForGPU())
	championDir, err := championDir(t, l.name, row.Champion)
	if err != nil {
		return actions.Plan{}, err
	}
	return actions.Plan{
		ChampionDir: championDir,
		Run:         run, Model: l.name, Pipeline: pipeline, Trigger: d.Text, Forced: forced, Policy: d.PolicyDigest,
		Created: time.Now().UTC(), Champion: row.Champion, Cause: causeOf(d, l.View().Report),
		Code:  actions.CodeDigest(resolved, l.rules.Model.Serving),
		Steps: resolved, Until: l.rules.Policy.Leaves(&d), Promote: l.promote(),
		Probation: l.rules.Model.Policy.Probation, Retention: &l.rules.Model.Retention,
		Stop:    l.rules.Model.StopsForGPU(),
		Serving: l.rules.Model.Serving, ModelDir: l.modelDir(), RunDir: filepath.Join(l.modelDir(), "runs", run),
	}, nil
}

// championDir returns the directory of a release that retraind deployed, or "" if the release was adopted or is
// unknown.
func championDir(t *store.Tx, model, digest string) (string, error) {
	if digest == "" || actions.IsAdopted(digest) {
		return "", nil
	}
	r, err := t.Release(model, digest)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return r.Path, err
}

// newRun returns a new run id; ids sort by time.
func newRun() (string, error) {
	id, err := ulid.New(ulid.Timestamp(time.Now()), rand.Reader)
	return strings.ToLower(id.String()), err
}
