package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// showRun turns a stored run with its steps into what the faces show.
func showRun(t *store.Tx, r store.Run) (status.Run, error) {
	out := status.Run{ID: r.ID, Model: r.Model, Pipeline: r.Pipeline, Trigger: r.Trigger, Forced: r.Forced, State: r.State, Outcome: r.Outcome, Reason: r.Reason, Created: r.Created, Started: r.Started, Ended: r.Ended}
	sum, err := actions.ReadSummary(r.Result)
	if err != nil {
		return out, fmt.Errorf("run %s: %w", r.ID, err)
	}
	out.Release, out.Accuracy, out.Why = sum.Release, compared(sum.Gate), string(sum.Result.Why)
	var plan actions.Plan
	if err := json.Unmarshal([]byte(r.Plan), &plan); err != nil {
		return out, fmt.Errorf("run %s: %w", r.ID, err)
	}
	steps, err := t.Steps(r.ID)
	if err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for _, s := range steps {
		seen[s.Name] = true
		shown := status.Step{Name: s.Name, Kind: s.Kind, Attempt: s.Attempt, State: s.State, Detail: s.Detail, Started: s.Started, Ended: s.Ended}
		if s.State == "running" {
			shown.Progress = progress(actions.AttemptDir(plan.RunDir, strings.Replace(s.Name, "undo ", "undo-", 1), s.Attempt))
		}
		out.Steps = append(out.Steps, shown)
	}
	for _, name := range plan.Titles() {
		if r.State != "ended" && !seen[name] {
			out.Steps = append(out.Steps, status.Step{Name: name, State: "waiting"})
		}
	}
	return out, nil
}

// progress reads how far a command says it is; nil when it does not.
func progress(dir string) *float64 {
	b, err := os.ReadFile(runner.ProgressFile(dir))
	if err != nil {
		return nil
	}
	var share float64
	if _, err := fmt.Sscan(string(b), &share); err != nil || !(share >= 0 && share <= 1) {
		return nil
	}
	return &share
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

// Snapshot implements status.Reader.
func (b backend) Snapshot(ctx context.Context) (status.Status, error) {
	d := b.d
	l := d.loaded.Load()
	now := time.Now().In(l.File.Location())
	out := status.Status{At: now, Timezone: l.File.Timezone, Version: d.version, Started: d.started, Config: status.Config{Path: l.Path, Digest: l.Digest}}
	d.reloads.mu.Lock()
	out.Config.Loaded, out.Config.Problem, out.Config.RestartNeeded = d.reloads.loaded, d.reloads.problem, d.reloads.cold
	d.reloads.mu.Unlock()
	err := d.store.View(ctx, func(t *store.Tx) error {
		var err error
		if out.OutboxPending, err = t.CountWaiting(); err != nil {
			return err
		}
		for _, name := range l.File.Names() {
			m, err := d.showModel(t, d.keepers[name], now)
			if err != nil {
				return err
			}
			out.Models = append(out.Models, m)
		}
		return nil
	})
	return out, err
}

func (d *Daemon) showModel(t *store.Tx, k *keeper, now time.Time) (status.Model, error) {
	v := k.look()
	m := status.Model{Name: k.name, Report: v.report, Floor: v.floor, NextCheck: v.next, Audit: v.audit, Scoring: v.scoring}
	row, err := t.Model(k.name)
	if err != nil {
		return m, err
	}
	m.Release = row.Champion
	if row.Champion != "" {
		c, err := actions.ReadChampion(row.Baseline)
		if err != nil {
			return m, err
		}
		m.Deployed = c.Baseline.At
	}
	runs, err := t.Runs(k.name, 2)
	if err != nil {
		return m, err
	}
	for _, r := range runs {
		shown, err := showRun(t, r)
		if err != nil {
			return m, err
		}
		if r.State != "ended" {
			m.Active = &shown
		} else if m.Last == nil {
			m.Last = &shown
		}
	}
	for _, s := range k.sources {
		m.Sources = append(m.Sources, status.Source{Name: s.Name(), Health: s.Health()})
	}
	m.Window.Open = v.windows.Contains(now)
	if cur, ok := v.windows.Current(now); ok {
		m.Window.Changes = cur.End
	} else if next := v.windows.Next(now, 1); len(next) > 0 {
		m.Window.Changes = next[0].Start
	}
	var h policy.History
	if err := stopped(t, row, &h); err != nil {
		return m, err
	}
	showStopped(&m, h, now)
	if v.trial != nil && v.decision != nil && v.report.Release == row.Champion {
		m.Probation = &status.Probation{OnProbation: v.trial.OnProbation, Text: v.decision.Probation()}
	}
	if s := v.shadow; s != nil {
		m.Shadow = &status.Shadow{Since: s.Since, Differences: s.Differences, Decision: string(s.Real), Would: string(s.Would), Differs: s.Differs(), Changed: s.At, Text: s.Text}
	}
	m.Phase, m.Sentence = phase(m, v, now)
	return m, nil
}

// phase says in one word and one sentence what a model's watch is doing, the loudest first.
func phase(m status.Model, v view, now time.Time) (status.Phase, string) {
	switch {
	case m.Active != nil:
		return status.Running, running(*m.Active)
	case m.Held != nil:
		return status.Held, (&hold{By: m.Held.By, Reason: m.Held.Reason}).String()
	case v.trouble != "":
		return status.Broken, v.trouble
	case away(m.Sources) != "":
		return status.Broken, "labels cannot be followed: " + away(m.Sources)
	case v.report == nil || v.decision == nil:
		return status.Watching, "not evaluated yet"
	case v.report.State == drift.StateAsleep:
		return status.Asleep, v.report.Detail
	case v.report.State == drift.StateError:
		return status.Broken, v.report.Detail
	case v.decision.Reason == policy.ReasonNoFormerRelease: // what serves cannot be relied on, and only a person can help
		return status.Broken, v.decision.Text
	case len(m.Pauses) > 0 && v.decision.Reason == policy.ReasonPaused:
		return status.Paused, v.decision.Text
	case len(m.Pauses) > 0:
		return status.Paused, pauseText(m.Pauses[0], now) + "; " + v.decision.Text
	case v.decision.Verdict == policy.VerdictRetrain, v.decision.Verdict == policy.VerdictRollback:
		return status.Armed, v.decision.Text
	}
	return status.Watching, v.decision.Text
}

func running(r status.Run) string {
	for _, s := range r.Steps {
		if s.State == "running" {
			return fmt.Sprintf("run %s is in step %s: %s", short(r.ID), s.Name, r.Trigger)
		}
	}
	return fmt.Sprintf("run %s begins: %s", short(r.ID), r.Trigger)
}

// short is the end of a run's id, as people are shown it.
func short(id string) string { return id[max(0, len(id)-8):] }

// sentence is the daemon's state for systemctl status.
func (d *Daemon) sentence() string {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	s, err := backend{d}.Snapshot(ctx)
	if err != nil {
		return "running; its state cannot be read: " + err.Error()
	}
	var parts []string
	for _, m := range s.Models {
		parts = append(parts, m.Name+": "+m.Sentence)
	}
	return strings.Join(parts, "; ")
}
