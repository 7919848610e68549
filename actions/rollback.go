package actions

import (
	"slices"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Rollback is set in the plan of a run that does not train. The run rolls back a release that failed its probation, or
// deploys the champion again (Redeploy). The steps of such a plan are those of the run that deployed the release. Its
// champion is the release to put into service: the former one, or with Redeploy the present one.
type Rollback struct {
	Release string `json:"release"` // digest of the release to roll back
	Run     string `json:"run"`     // id of the run that deployed it
	Why     string `json:"why"`     // one sentence
	// Redeploy means that nothing is rolled back: the plan's champion is deployed again, because another model is in
	// service.
	Redeploy bool `json:"redeploy,omitempty"`
}

// PlanRollback turns the plan of a run that promoted a release into one that rolls it back. The caller sets id,
// trigger, directories and the service's configuration.
func PlanRollback(promoted Plan, release, why string) Plan {
	promoted.Rollback = &Rollback{Release: release, Run: promoted.Run, Why: why}
	promoted.Forced, promoted.Probation = false, nil
	return promoted
}

// PlanRedeploy turns the plan of the run that deployed a release into one that deploys it again.
func PlanRedeploy(deployed Plan, release, why string) Plan {
	deployed = PlanRollback(deployed, release, why)
	deployed.Rollback.Redeploy = true
	return deployed
}

// KeepsImages reports whether the deployment keeps the former release's image, so that even a release without files of
// its own can be restored.
func (p Plan) KeepsImages() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Compose != nil && s.Compose.Build })
}

// undone returns the steps that a rollback run undoes, in the order of the pipeline: all steps after the gate that
// deploy the release, have an undo command, or restart something. Steps before the gate, such as writing labels, are
// not undone.
func (p Plan) undone() []int {
	gate := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Do == DoGate })
	var out []int
	for i, s := range p.Steps {
		if i > gate && s.hasUndo() && (s.Act == nil || s.Act.Action == ActionRestart) {
			out = append(out, i)
		}
	}
	return out
}

// Titles returns the names of the actions of a successful run, in order.
func (p Plan) Titles() []string {
	var out []string
	if p.Rollback == nil {
		for i := range p.Steps {
			out = append(out, title(p, Action{Kind: ActDo, Step: i}))
		}
		return out
	}
	var done []Outcome
	for {
		a, more := Next(p, done)
		if !more || a.Kind == ActFinish {
			return out
		}
		out = append(out, title(p, a))
		done = append(done, Outcome{Kind: a.Kind, Step: a.Step, Attempt: a.Attempt, Class: store.StepOK})
	}
}

// pointedBack reports whether `current` points to the former release again.
func pointedBack(p Plan, done []Outcome) bool {
	return slices.ContainsFunc(done, func(o Outcome) bool {
		return o.Kind == ActUndo && o.Class == store.StepOK && p.Steps[o.Step].Do.servesRelease()
	})
}

// revert makes the former release the champion again, with the figures with which it was promoted. If `current` could
// not be reset, it changes nothing: the run then holds the model and reports that.
func (x *Executor) revert(t *store.Tx, p Plan, sum Summary, done []Outcome) error {
	if !pointedBack(p, done) {
		return nil
	}
	row, err := t.Model(p.Model)
	if err != nil {
		return err
	}
	was, err := ReadChampion(row.Baseline)
	if err != nil {
		return err
	}
	former := Champion{}
	if was.Former != nil {
		former = *was.Former
	}
	for field, value := range map[store.ModelField]any{
		store.Champion: p.Champion, store.Previous: "",
		store.Baseline: mustJSON(former), store.Monitor: "",
	} {
		if err := t.SetModel(p.Model, field, value); err != nil {
			return err
		}
	}
	if err := t.SetReleaseState(p.Model, p.Rollback.Release, store.ReleaseRolledBack); err != nil {
		return err
	}
	if err := t.SetReleaseState(p.Model, p.Champion, store.ReleaseChampion); err != nil ||
		sum.Result.Outcome != policy.OutcomeRolledBack {
		return err
	}
	r, err := t.Release(p.Model, p.Champion)
	if err != nil {
		return err
	}
	return x.notify(t, notify.ModelRolledBack, p.Model, p.Run, notify.RolledBack{
		Model: p.Model, Release: p.Champion, Failed: p.Rollback.Release,
		Artifact: notify.Artifact{URI: "file://" + r.Path, SHA256: p.Champion}, Reason: sum.Result.Reason, Run: p.Run,
	})
}

// probation returns the probation of a newly promoted release; nil without one.
func (p Plan) probation() *drift.Probation {
	if p.Probation == nil {
		return nil
	}
	since := now()
	return &drift.Probation{Since: since, Until: since.Add(p.Probation.For.D()), Alpha: p.Probation.FalseRollbacks.F()}
}

// rollbackResult returns the result of a rollback run.
func (m *machine) rollbackResult() Result {
	if m.plan.Rollback.Redeploy {
		if m.badUndo != "" {
			return Result{Outcome: policy.OutcomeFailed, Reason: m.plan.Rollback.Why + "; " + m.badUndo, Hold: true}
		}
		return Result{Outcome: policy.OutcomePromoted, Reason: m.plan.Rollback.Why}
	}
	r := Result{Outcome: policy.OutcomeRolledBack, Reason: m.plan.Rollback.Why, Why: policy.ReasonProbationFailed}
	if m.badUndo != "" {
		r.Outcome, r.Hold = policy.OutcomeFailed, true
		r.Reason += "; and " + m.badUndo
	}
	return r
}
