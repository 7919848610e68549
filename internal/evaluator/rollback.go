package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// trial returns the probation of the serving release and the release to roll back to; nil if the serving release is not
// on probation or the policy has no probation any longer.
func (l *Loop) trial(ctx context.Context, r drift.Report, now time.Time) (*policy.Trial, error) {
	if r.Probation == nil || r.Probation.Over(now) || l.rules.Model.Policy.Probation == nil {
		return nil, nil //nolint:nilnil // no probation is no fault
	}
	out := &policy.Trial{OnProbation: *r.Probation}
	err := l.o.Store.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		out.Former = row.Previous
		_, err = promotion(t, row)
		var lost *lostError
		if errors.As(err, &lost) {
			out.Lost = lost.why
			return nil
		}
		return err
	})
	return out, err
}

// lostError contains the reason why a rollback is impossible.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// promotion returns the plan of the run that promoted the serving release, or a *lostError if that promotion cannot be
// undone. It checks only that the files of the previous release exist; the rollback run verifies them.
func promotion(t *store.Tx, row store.Model) (plan actions.Plan, err error) {
	if row.Previous == "" || row.Previous == row.Champion {
		return plan, &lostError{"there is no previous release"}
	}
	former, err := t.Release(row.Name, row.Previous)
	if errors.Is(err, store.ErrNotFound) {
		return plan, &lostError{"release " + text.Digest(row.Previous) + ", the previous one, is no longer in the store"}
	}
	if err != nil {
		return plan, err
	}
	serving, err := t.Release(row.Name, row.Champion)
	if err != nil {
		return plan, err
	}
	run, err := t.Run(serving.Run)
	if errors.Is(err, store.ErrNotFound) {
		return plan, &lostError{"run " + serving.Run + ", which promoted the release, is no longer in the store"}
	}
	if err != nil {
		return plan, err
	}
	if err := readPlan(run, &plan); err != nil {
		return plan, err
	}
	if actions.IsAdopted(former.Digest) && plan.KeepsImages() {
		return plan, nil // an adopted release has no files: its image is kept
	}
	if _, err := os.Stat(former.Path); err != nil {
		return plan,
			&lostError{fmt.Sprintf("the files of release %s, the previous one, are missing: %v", text.Digest(row.Previous), err)}
	}
	return plan, nil
}

func readPlan(run store.Run, plan *actions.Plan) error {
	if err := json.Unmarshal([]byte(run.Plan), plan); err != nil {
		return fmt.Errorf("plan of run %s: %w", run.ID, err)
	}
	return nil
}

// rollback creates the run that rolls back the release that failed its probation, and passes it to the engine.
func (l *Loop) rollback(ctx context.Context, d policy.Decision) error {
	return l.begin(ctx, d, []store.ModelField{store.Intent}, func(t *store.Tx, row store.Model) (actions.Plan, error) {
		if row.Champion != d.Release {
			return actions.Plan{}, errStale
		}
		if err := l.checkOutdated(t, row); err != nil {
			return actions.Plan{}, err
		}
		promoted, err := promotion(t, row)
		if err != nil {
			return promoted, err
		}
		id, err := newRun()
		if err != nil {
			return promoted, err
		}
		plan := actions.PlanRollback(promoted, row.Champion, d.Probation())
		plan.Run, plan.Pipeline, plan.Trigger, plan.Policy, plan.Created = id, pipelineBack, d.Text, d.PolicyDigest,
			time.Now().UTC()
		plan.Champion, plan.Until = row.Previous, time.Time{}
		if plan.ChampionDir, err = championDir(t, l.name, plan.Champion); err != nil {
			return plan, err
		}
		// The service is queried as it is configured now, but each step is undone as it was executed.
		plan.Promote, plan.Serving = l.promote(), l.rules.Model.Serving
		plan.ModelDir = l.modelDir()
		plan.RunDir = filepath.Join(plan.ModelDir, "runs", id)
		return plan, nil
	})
}

// pipelineBack is stored in place of a pipeline's name for a run that only rolls back a release.
const pipelineBack = "rollback"
