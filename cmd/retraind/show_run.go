package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// plainWord writes a state as words: "rolled back" for "rolled_back".
func plainWord[S ~string](state S) string { return strings.ReplaceAll(string(state), "_", " ") }

// outcome returns the outcome of a run that has ended, or else its state, with a colour.
func outcome(r status.Run) string {
	colour := "3"
	switch r.Outcome {
	case "":
		colour = "6"
	case policy.OutcomePromoted:
		colour = "2"
	case policy.OutcomeFailed, policy.OutcomeRolledBack:
		colour = "1"
	}
	return coloured(colour, plainWord(r.Word()))
}

func showRuns(p *page, runs []status.Run, now time.Time) error {
	if len(runs) == 0 {
		p.line("no run yet", 0)
		return p.print()
	}
	rows := make([][]string, len(runs))
	for i, r := range runs {
		reason := r.Reason
		if reason == "" {
			reason = r.Trigger
		}
		rows[i] = []string{text.RunID(r.ID), r.Model, ago(r.Created, now), text.Elapsed(r.Took(now)), outcome(r), reason}
	}
	p.list([]string{"run", "model", "started", "took", "outcome", "reason"}, rows...)
	return p.print()
}

func showRun(p *page, r status.Run, now time.Time) error {
	p.line(fmt.Sprintf("run %s of %s  %s", r.ID, bold(r.Model), outcome(r)), 4)
	p.field("why", r.Trigger)
	if r.Parent != "" {
		p.field("repeats", fmt.Sprintf("run %s, from step %s on", text.RunID(r.Parent), r.From))
	}
	if r.Reason != "" {
		said, more := r.BriefReason()
		p.field("result", said+why(r))
		if more != "" {
			p.field("", "full text: "+more)
		}
	}
	if c := r.Accuracy; c != nil {
		before := "; the first release"
		if c.Before != nil {
			before = fmt.Sprintf("; before %.1f%%", 100**c.Before)
		}
		p.field("accuracy", fmt.Sprintf("%.1f%% of %s held-out items (95%% interval %.1f to %.1f)%s", 100*c.After,
			text.Count(c.N), 100*c.Low, 100*c.High, before))
	}
	p.showCompared(r.Targets)
	p.showFigures(r.Figures)
	if r.Release != "" {
		p.field("release", text.Digest(r.Release))
	}
	took := ", running for "
	if r.State == store.RunEnded {
		took = ", took "
	}
	p.field("started", clock(r.Created, now)+" ("+ago(r.Created, now)+")"+took+text.Elapsed(r.Took(now)))
	p.line("", 0)
	rows := make([][]string, len(r.Steps))
	var logs []string
	for i, s := range r.Steps {
		var more string
		if rows[i], more = stepRow(r, s, now); more != "" && !slices.Contains(logs, more) {
			logs = append(logs, more)
		}
	}
	p.table(2, []string{"step", "took", "state", ""}, rows...)
	for i, more := range logs {
		if i == 0 {
			p.line("", 0)
		}
		p.line("  see: "+more, 4)
	}
	return p.print()
}

// showFigures prints the measurements of a run's steps.
func (p *page) showFigures(figures []status.Figure) {
	parts := make([]string, len(figures))
	for i, f := range figures {
		parts[i] = fmt.Sprintf("%s %.6g", f.Name, f.Value)
		if f.Champion != nil {
			parts[i] += fmt.Sprintf(" (champion %.6g)", *f.Champion)
		}
	}
	if len(parts) > 0 {
		p.field("figures", strings.Join(parts, ", "))
	}
}

// stepRow returns a step with its shortened detail, and the command that shows the rest.
func stepRow(r status.Run, s status.Step, now time.Time) (row []string, more string) {
	took, state, name := "", plainWord(s.State), s.Name
	detail, more := r.BriefDetail(s)
	if !s.Started.IsZero() {
		took = text.Elapsed(time.Duration(s.Seconds(now) * float64(time.Second)))
	}
	switch s.State {
	case store.StepOK:
		state = coloured("2", state)
	case store.StepRunning:
		if s.Progress != nil {
			state += fmt.Sprintf(" %.0f%%", 100**s.Progress)
		}
		if s.Progress != nil || s.ProgressText != "" {
			detail = strings.TrimPrefix(progressText(s, now), ", ")
		}
		state = coloured("6", state)
	case store.StepWaiting:
	default:
		state = coloured("1", state)
	}
	if s.Attempt > 1 {
		name += fmt.Sprintf(" (attempt %d)", s.Attempt)
	}
	return []string{name, took, state, detail}, more
}

// ending describes how a run ended: the outcome, the reason code if nothing was promoted, and a sentence.
func ending(r status.Run) string {
	return plainWord(r.Outcome) + why(r) + ": " + r.Reason
}

func why(r status.Run) string {
	if r.Why == "" {
		return ""
	}
	return " (" + r.Why + ")"
}
