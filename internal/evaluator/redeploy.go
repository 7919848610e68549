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

// RefusedError says why something that a person asked for is not done.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// pipelineRedeploy stands for the pipeline of a run that only brings the champion back into service.
const pipelineRedeploy = "redeploy"

// redeploy creates the run that brings the champion back into service and proves it, and hands it to the engine.
func (l *Loop) redeploy(ctx context.Context, by string) (string, error) {
	why := "brings the champion back into service"
	if by != "" {
		why += ", asked for by " + by
	}
	d := policy.Decision{At: time.Now().UTC(), Verdict: policy.VerdictRollback, Reason: policy.ReasonForeign, Text: why}
	var id, champion string
	err := l.begin(ctx, d, nil, func(t *store.Tx, row store.Model) (actions.Plan, error) {
		plan, err := l.deployment(t, row)
		if err != nil {
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
		return "", &RefusedError{"a run is under way: wait for its end, or cancel it"}
	}
	return "run " + id + " brings release " + text.Digest(champion) + " back into service", nil
}

// deployment is the plan of the run that deployed the champion.
func (l *Loop) deployment(t *store.Tx, row store.Model) (plan actions.Plan, err error) {
	switch {
	case row.Champion == "":
		return plan, &RefusedError{"no release is deployed yet"}
	case actions.IsAdopted(row.Champion):
		return plan, &RefusedError{"the champion was adopted: retraind never deployed it and has no copy of it; put it back by hand"}
	}
	release, err := t.Release(row.Name, row.Champion)
	if err != nil {
		return plan, err
	}
	run, err := t.Run(release.Run)
	if errors.Is(err, store.ErrNotFound) {
		return plan, &RefusedError{"run " + release.Run + ", which deployed the champion, is not on record any more"}
	}
	if err != nil {
		return plan, err
	}
	return plan, readPlan(run, &plan)
}
