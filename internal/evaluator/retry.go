package evaluator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// retry creates a run that repeats another one with the steps as they are configured now, and hands it to the engine.
// It begins with the step named by from, or with the one that failed, and reuses the results of the steps before it if
// they have not changed since. The former run is not changed.
func (l *Loop) retry(ctx context.Context, run, from, by string) (id, said string, err error) {
	now := time.Now().UTC()
	d := policy.Decision{
		At: now, Model: l.name, Verdict: policy.VerdictRetrain, Forced: true, PolicyDigest: l.rules.Policy.Digest(),
		Text: "retries run " + text.RunID(run),
	}
	if by != "" {
		d.Text += ", requested by " + by
	}
	err = l.begin(ctx, d, nil, func(t *store.Tx, row store.Model) (actions.Plan, error) {
		if err := CheckHold(l.name, row); err != nil {
			return actions.Plan{}, err
		}
		parent, err := l.parent(t, run)
		if err != nil {
			return actions.Plan{}, err
		}
		plan, err := l.planOf(t, row, d, parent.plan.Pipeline, true)
		if err != nil {
			return plan, &RefusedError{err.Error()}
		}
		if plan.Parent, said, err = parent.repeat(plan, from); err != nil {
			return plan, err
		}
		id = plan.Run
		return plan, nil
	})
	switch {
	case err != nil:
		return "", "", err
	case id == "":
		return "", "", &RefusedError{"a run is active: wait for its end, or cancel it"}
	}
	return id, "run " + id + " " + said, nil
}

// parent is a run to repeat.
type parent struct {
	plan   actions.Plan
	failed string // the step that decided the outcome, "" if the run was promoted
	later  string // id of a later run, which may have changed files that the steps wrote; "" if there is none
}

func (l *Loop) parent(t *store.Tx, run string) (p parent, err error) {
	r, err := t.Run(run)
	if err != nil {
		return p, err
	}
	switch {
	case r.State != store.RunEnded:
		return p, &RefusedError{"run " + text.RunID(r.ID) + " has not ended: wait for its end, or cancel it"}
	case r.Pipeline == pipelineBack || r.Pipeline == pipelineRedeploy:
		return p, &RefusedError{"run " + text.RunID(r.ID) +
			" only deployed an earlier release again, and is not repeated; see: retraind models redeploy " + l.name}
	}
	if err := readPlan(r, &p.plan); err != nil {
		return p, err
	}
	sum, err := actions.ReadSummary(r.Result)
	if err != nil {
		return p, fmt.Errorf("run %s: %w", r.ID, err)
	}
	p.failed = sum.Result.Step
	const most = 1000
	runs, err := t.Runs(l.name, most)
	for _, later := range runs {
		if later.ID == r.ID {
			break
		}
		if later.Pipeline != pipelineBack && later.Pipeline != pipelineRedeploy {
			p.later = later.ID
		}
	}
	return p, err
}

// repeat returns the results that a plan reuses from the run that it repeats. If a person named the first step, the
// run starts with that step or is refused.
func (p parent) repeat(plan actions.Plan, from string) (*actions.Parent, string, error) {
	names := make([]string, len(plan.Steps))
	for i, s := range plan.Steps {
		names[i] = s.Name
	}
	if from != "" && !slices.Contains(names, from) {
		return nil, "", &RefusedError{fmt.Sprintf("pipeline %s has no step %q; it has %s", plan.Pipeline, from,
			strings.Join(names, ", "))}
	}
	first := max(0, slices.Index(names, cmp.Or(from, p.failed)))
	out := &actions.Parent{Run: p.plan.Run, RunDir: p.plan.RunDir, From: names[first]}
	var why string
	if p.later != "" {
		why = fmt.Sprintf("run %s followed it and may have changed the results of its steps", text.RunID(p.later))
	} else {
		out.Carry, why = plan.Carry(p.plan, first)
	}
	if why != "" && from != "" && first > 0 {
		return nil, "", &RefusedError{fmt.Sprintf("the run cannot start at step %s: %s; leave out --from to repeat all steps that are needed",
			from, why)}
	}
	said := "repeats run " + text.RunID(p.plan.Run)
	switch {
	case len(out.Carry) > 0:
		said += fmt.Sprintf(" from step %s and reuses the results of %s", names[first], strings.Join(out.Carry, " and "))
	case first == 0 || why == "":
		said += " from the beginning"
	default:
		said += " from the beginning: " + why
	}
	if len(out.Carry) == 0 {
		out.From = names[0]
	}
	return out, said, nil
}
