package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/progress"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Runs implements status.Reader.
func (b *Backend) Runs(ctx context.Context, model string, limit int) ([]status.Run, error) {
	if model != "" {
		if _, err := b.model(model); err != nil {
			return nil, err
		}
	}
	var out []status.Run
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		runs, err := t.Runs(model, limit)
		if err != nil {
			return err
		}
		for _, r := range runs {
			shown, err := showRun(t, r)
			if err != nil {
				return err
			}
			out = append(out, shown)
		}
		return nil
	})
	return out, err
}

// Run implements status.Reader.
func (b *Backend) Run(ctx context.Context, id string) (status.Run, error) {
	var out status.Run
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		r, err := t.Run(id)
		if err != nil {
			return err
		}
		out, err = showRun(t, r)
		return err
	})
	return out, whichRun(id, err)
}

// whichRun explains an id suffix that matches no run, or several runs.
func whichRun(id string, err error) error {
	switch {
	case errors.Is(err, store.ErrSeveral):
		return fmt.Errorf("%w: run id suffix %q is ambiguous: write more of it; see: retraind runs list",
			status.ErrNotFound, id)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: no run's id ends in %q; see: retraind runs list", status.ErrNotFound, id)
	}
	return err
}

// Cancel implements status.Backend.
func (b *Backend) Cancel(ctx context.Context, run, by string) error {
	var refused error
	err := b.o.Store.Update(ctx, "cancel", func(t *store.Tx) error {
		r, err := t.Run(run)
		if err != nil {
			return err
		}
		if r.State == store.RunEnded {
			refused = fmt.Errorf("%w: run %s has ended already: %s", status.ErrRefused, r.ID, r.Outcome)
			return nil
		}
		return t.CancelRun(r.ID, by)
	})
	if err == nil && refused != nil {
		return refused
	}
	return whichRun(run, err)
}

// Retry implements status.Backend.
func (b *Backend) Retry(ctx context.Context, run, from, by string) (status.Triggered, error) {
	var parent store.Run
	err := b.o.Store.View(ctx, func(t *store.Tx) (err error) {
		parent, err = t.Run(run)
		return err
	})
	if err != nil {
		return status.Triggered{}, whichRun(run, err)
	}
	m, err := b.model(parent.Model)
	if err != nil {
		return status.Triggered{}, err
	}
	id, said, err := m.Loop.Retry(ctx, parent.ID, from, by)
	var refused *evaluator.RefusedError
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %s", status.ErrRefused, refused.Why)
	}
	return status.Triggered{Run: id, Text: said}, refusal(err)
}

// showRun converts a stored run with its steps.
func showRun(t *store.Tx, r store.Run) (status.Run, error) {
	out := status.Run{
		ID: r.ID, Model: r.Model, Pipeline: r.Pipeline, Trigger: r.Trigger, Forced: r.Forced, State: r.State,
		Outcome: policy.Outcome(r.Outcome), Reason: r.Reason, Created: r.Created, Started: r.Started, Ended: r.Ended,
	}
	sum, err := actions.ReadSummary(r.Result)
	if err != nil {
		return out, fmt.Errorf("run %s: %w", r.ID, err)
	}
	out.Release, out.Accuracy, out.Why = sum.Release, compared(sum.Gate), string(sum.Result.Why)
	out.Targets = comparedTargets(sum.Gate)
	out.Figures = figures(sum)
	var plan actions.Plan
	if err := json.Unmarshal([]byte(r.Plan), &plan); err != nil {
		return out, fmt.Errorf("run %s: %w", r.ID, err)
	}
	if plan.Parent != nil {
		out.Parent, out.From = plan.Parent.Run, plan.Parent.From
	}
	steps, err := t.Steps(r.ID)
	if err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for _, s := range steps {
		seen[s.Name] = true
		shown := status.Step{
			Name: s.Name, Kind: s.Kind, Attempt: s.Attempt, State: s.State, Detail: s.Detail,
			Started: s.Started, Ended: s.Ended,
		}
		if s.State == store.StepRunning {
			dir := actions.AttemptDir(plan.RunDir, strings.Replace(s.Name, "undo ", "undo-", 1), s.Attempt)
			if p, ok := progress.Read(runner.ProgressFile(dir), runner.PrintedFile(dir)); ok {
				shown.Progress, shown.ProgressText = p.Share, p.Text
				if p.Left > 0 {
					shown.Ends = p.At.Add(p.Left)
				}
			}
		}
		out.Steps = append(out.Steps, shown)
	}
	for _, name := range plan.Titles() {
		if r.State != store.RunEnded && !seen[name] {
			out.Steps = append(out.Steps, status.Step{Name: name, State: store.StepWaiting})
		}
	}
	return out, nil
}

// figures returns the measurements of a run's candidate, with those of the champion.
func figures(sum actions.Summary) []status.Figure {
	var out []status.Figure
	for _, name := range slices.Sorted(maps.Keys(sum.Figures)) {
		f := status.Figure{Name: name, Value: sum.Figures[name]}
		if sum.Gate != nil {
			if former, ok := sum.Gate.ChampionFigures[name]; ok {
				f.Champion = &former
			}
		}
		out = append(out, f)
	}
	return out
}

func compared(g *actions.GateFacts) *status.Compared {
	if g == nil || g.N == 0 {
		return nil
	}
	c := &status.Compared{After: g.Candidate.Accuracy, Low: g.Candidate.Low, High: g.Candidate.High, N: g.N}
	if g.Champion != nil {
		before := g.Champion.Accuracy
		c.Before = &before
	}
	return c
}

// comparedTargets returns the comparisons of the targets other than the gating one.
func comparedTargets(g *actions.GateFacts) []status.ComparedTarget {
	if g == nil {
		return nil
	}
	var out []status.ComparedTarget
	for _, t := range g.Targets {
		c := status.ComparedTarget{Name: t.Name, Wins: t.Wins, Losses: t.Losses, Margin: t.Margin}
		c.Compared = status.Compared{After: t.Candidate.Accuracy, Low: t.Candidate.Low, High: t.Candidate.High, N: t.N}
		if t.Champion != nil {
			before := t.Champion.Accuracy
			c.Before = &before
		}
		out = append(out, c)
	}
	return out
}
