package evaluator

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// RefusedError contains the reason why a person's request is refused.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// pipelineRedeploy is stored in place of a pipeline's name for a run that only redeploys the champion.
const pipelineRedeploy = "redeploy"

// redeploy creates a run that redeploys the champion and proves that it serves, and passes the run to the engine. Only
// a hold by a person prevents it: one by a run ends when the champion is proved.
func (l *Loop) redeploy(ctx context.Context, by string) (string, error) {
	why := "redeploys the champion"
	if by != "" {
		why += ", requested by " + by
	}
	d := policy.Decision{
		At: time.Now().UTC(), Model: l.name, Verdict: policy.VerdictRollback, Reason: policy.ReasonForeign, Text: why,
	}
	var id, champion string
	err := l.begin(ctx, d, nil, func(t *store.Tx, row store.Model) (actions.Plan, error) {
		var plan actions.Plan
		held, err := ReadHold(row)
		if err != nil {
			return plan, err
		}
		if held != nil && !held.OfRun() {
			return plan, &HeldError{l.name, held}
		}
		if plan, err = l.deployment(t, row); err != nil {
			return plan, err
		}
		if id, err = newRun(); err != nil {
			return plan, err
		}
		champion = row.Champion
		plan = actions.PlanRedeploy(plan, row.Champion, why)
		plan.Run, plan.Pipeline, plan.Trigger, plan.Created = id, pipelineRedeploy, why, d.At
		plan.Champion, plan.Until = row.Champion, time.Time{}
		if plan.ChampionDir, err = championDir(t, l.name, plan.Champion); err != nil {
			return plan, err
		}
		plan.Promote, plan.Serving = l.promote(), l.rules.Model.Serving
		plan.ModelDir = l.modelDir()
		plan.RunDir = filepath.Join(plan.ModelDir, "runs", id)
		return plan, nil
	})
	switch {
	case err != nil:
		return "", err
	case id == "":
		return "", &RefusedError{"a run is active: wait for its end, or cancel it"}
	}
	return "run " + id + " redeploys release " + text.Digest(champion), nil
}

// deployment returns the plan of the run that deployed the champion.
func (l *Loop) deployment(t *store.Tx, row store.Model) (plan actions.Plan, err error) {
	switch {
	case row.Champion == "":
		return plan, &RefusedError{"no release is deployed yet"}
	case actions.IsAdopted(row.Champion):
		return plan, &RefusedError{"the champion was adopted, so retraind has no copy of it: redeploy it yourself"}
	}
	release, err := t.Release(row.Name, row.Champion)
	if err != nil {
		return plan, err
	}
	run, err := t.Run(release.Run)
	if errors.Is(err, store.ErrNotFound) {
		return plan, &RefusedError{"run " + release.Run + ", which deployed the champion, is no longer in the store"}
	}
	if err != nil {
		return plan, err
	}
	return plan, readPlan(run, &plan)
}
