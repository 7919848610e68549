package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Snapshot implements status.Reader.
func (b *Backend) Snapshot(ctx context.Context) (status.Status, error) {
	l := b.o.Loaded()
	now := time.Now().In(l.File.Location())
	out := status.Status{
		At: now, Timezone: l.File.Timezone, Version: b.o.Version, Started: b.o.Started, Config: b.o.Config.Reloaded(),
	}
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		var err error
		if out.OutboxPending, err = t.CountWaiting(); err != nil {
			return err
		}
		for _, model := range b.o.Models {
			m, err := showModel(t, model, now)
			if err != nil {
				return err
			}
			out.Models = append(out.Models, m)
		}
		return nil
	})
	trouble := b.o.Store.Trouble()
	if trouble == "" {
		return out, err
	}
	out.Models = named(out.Models, b.o.Models)
	for i := range out.Models { // every model, because nothing that the store returned is reliable
		out.Models[i].Phase, out.Models[i].Sentence = status.Broken, trouble
	}
	return out, nil
}

// named adds an entry for each model whose state could not be read.
func named(shown []status.Model, all []Model) []status.Model {
	for _, m := range all[len(shown):] {
		shown = append(shown, status.Model{Name: m.Name})
	}
	return shown
}

func showModel(t *store.Tx, model Model, now time.Time) (status.Model, error) {
	v := model.Loop.View()
	m := status.Model{
		Name: model.Name, Report: v.Report, Floor: v.Floor, NextCheck: v.Next,
		Audit:   status.Audit{At: v.Audit.At, Difference: v.Audit.Difference, Damage: v.Audit.Damage},
		Scoring: (*status.Scoring)(v.Scoring),
	}
	row, err := t.Model(model.Name)
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
		if c.Adopted != nil && c.Adopted.TrainedOn == "" {
			m.Caveat = actions.AdoptedCaveat
		}
		m.Served = served(v)
	}
	runs, err := t.Runs(model.Name, 2)
	if err != nil {
		return m, err
	}
	for _, r := range runs {
		shown, err := showRun(t, r)
		if err != nil {
			return m, err
		}
		if r.State != store.RunEnded {
			m.Active = &shown
		} else if m.Last == nil {
			m.Last = &shown
		}
	}
	for _, s := range model.Intake.Sources {
		m.Sources = append(m.Sources, status.Source{Name: s.Name(), Health: s.Health()})
	}
	windows := v.Rules.Policy.Windows()
	m.Window.Open = windows.Contains(now)
	if cur, ok := windows.Current(now); ok {
		m.Window.Changes = cur.End
	} else if next := windows.Next(now, 1); len(next) > 0 {
		m.Window.Changes = next[0].Start
	}
	var h policy.History
	if err := evaluator.ReadStops(t, row, &h); err != nil {
		return m, err
	}
	showStopped(&m, h, now)
	if v.Trial != nil && v.Decision != nil && v.Report.Release == row.Champion {
		m.Probation = &status.Probation{OnProbation: v.Trial.OnProbation, Text: v.Decision.Probation()}
	}
	if s := v.Shadow; s != nil {
		m.Shadow = &status.Shadow{
			Since: s.Since, Differences: s.Differences, Decision: string(s.Real),
			Would: string(s.Would), Differs: s.Differs(), Changed: s.At, Text: s.Text,
		}
	}
	m.Phase, m.Sentence = phase(m, v, now)
	return m, nil
}

// phase returns a model's state as one word and one sentence. If several states apply, the first case below counts.
func phase(m status.Model, v evaluator.View, now time.Time) (status.Phase, string) {
	switch {
	case m.Active != nil:
		return status.Running, running(*m.Active)
	case m.Held != nil:
		return status.Held, (&evaluator.Hold{By: m.Held.By, Reason: m.Held.Reason}).String()
	case v.Trouble != "":
		return status.Broken, v.Trouble
	case away(m.Sources) != "":
		return status.Broken, "labels cannot be read: " + away(m.Sources)
	case m.Audit.Damage != "":
		return status.Broken, m.Audit.Damage
	case v.Report == nil || v.Decision == nil:
		return status.Watching, "not evaluated yet"
	case v.Report.State == drift.StateForeign:
		return status.Foreign, v.Report.Detail
	case v.Report.State == drift.StateAsleep:
		return status.Asleep, v.Report.Detail
	case v.Report.State == drift.StateError:
		return status.Broken, v.Report.Detail
	case v.Decision.Reason == policy.ReasonNoFormerRelease: // a bad release serves: a person must act
		return status.Broken, v.Decision.Text
	case len(m.Pauses) > 0 && v.Decision.Reason == policy.ReasonPaused:
		return status.Paused, v.Decision.Text
	case len(m.Pauses) > 0:
		return status.Paused, pauseText(m.Pauses[0], now) + "; " + v.Decision.Text
	case v.Decision.Verdict == policy.VerdictRetrain, v.Decision.Verdict == policy.VerdictRollback:
		return status.Armed, v.Decision.Text
	case v.Barred != "":
		return status.Watching, "the classifier is not queried: " + v.Barred + "; " + v.Decision.Text
	}
	return status.Watching, v.Decision.Text
}

func running(r status.Run) string {
	for _, s := range r.Steps {
		if s.State == store.StepRunning {
			return fmt.Sprintf("run %s is in step %s: %s", text.RunID(r.ID), s.Name, r.Trigger)
		}
	}
	return fmt.Sprintf("run %s starts: %s", text.RunID(r.ID), r.Trigger)
}

// away returns why labels cannot be read. It returns "" if every source is up or has not tried yet.
func away(sources []status.Source) string {
	var parts []string
	for _, s := range sources {
		if !s.Up && s.Error != "" {
			parts = append(parts, s.Error)
		}
	}
	return strings.Join(parts, "; ")
}
