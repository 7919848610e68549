package main

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

var phaseColour = map[status.Phase]string{
	status.Watching: "2", status.Asleep: "4", status.Armed: "3", status.Paused: "5", status.Running: "6", status.Held: "1",
	status.Foreign: "1", status.Broken: "1",
}

func bold(s string) string { return lipgloss.NewStyle().Bold(true).Render(s) }

func coloured(n, s string) string {
	return lipgloss.NewStyle().Foreground(lipgloss.Color(n)).Render(s)
}

// showStatus prints one screen. For each model it prints the most urgent fact first.
func showStatus(p *page, s status.Status) error {
	for _, m := range s.Models {
		p.showModel(m, s.At)
		p.line("", 0)
	}
	state := "valid"
	switch {
	case s.Config.Problem != "":
		state = coloured("1", "the edited file was REFUSED") + ", the former configuration stays in force; see: retraind check"
	case len(s.Config.RestartNeeded) > 0:
		state = "restart needed for " + strings.Join(s.Config.RestartNeeded, ", ")
	}
	p.field("config", fmt.Sprintf("%s, read %s, %s", s.Config.Path, clock(s.Config.Loaded, s.At), state))
	if s.OutboxPending > 0 {
		p.field("events", text.Plural(s.OutboxPending, "event")+" not yet published on NATS")
	}
	p.field("daemon", fmt.Sprintf("version %s, up for %s", s.Version, text.Elapsed(s.At.Sub(s.Started))))
	return p.print()
}

func (p *page) showModel(m status.Model, now time.Time) {
	style := lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color(phaseColour[m.Phase]))
	phase := style.Render(strings.ToUpper(string(m.Phase)))
	p.line(bold(m.Name)+"  "+phase+"  "+m.BriefSentence(), 4)
	if m.Active != nil {
		p.field("run", activeSentence(*m.Active, now))
	}
	if r := m.Report; r != nil {
		p.showAccuracy(*r, m.Floor, m.Sentence)
		p.showTargets(r.Targets)
	}
	if c := m.Scoring; c != nil {
		p.field("scoring", fmt.Sprintf("%s of %s new texts scored (%.0f%%)", text.Count(c.Done), text.Count(c.Of),
			100*float64(c.Done)/float64(c.Of)))
	}
	if m.Release == "" {
		p.field("release", "none yet")
	} else {
		p.field("release", fmt.Sprintf("%s, deployed %s", text.Digest(m.Release), ago(m.Deployed, now)))
	}
	switch s := m.Served; {
	case s == nil:
	case s.State == status.ServedProved && s.Notice != "":
		p.field("served", s.Notice)
	case s.State == status.ServedProved:
	case s.State == status.ServedUnknown && (m.Phase == status.Broken || m.Phase == status.Asleep): // the sentence says so
	case s.State == status.ServedUnknown:
		p.field("served", "unknown, last proved "+ago(s.Proved, now))
	default:
		p.field("served", fmt.Sprintf("accept it with `retraind models adopt %[1]s`, or deploy the champion again with `retraind models redeploy %[1]s`",
			m.Name))
	}
	if m.Caveat != "" {
		p.field("", "the accuracy is "+m.Caveat)
	}
	if t := m.Probation; t != nil && !strings.Contains(m.Sentence, t.Text) {
		p.field("", t.Text)
	}
	if r := m.Report; r != nil {
		said := text.Plural(r.Labels.Items, "item")
		if m.Release != "" {
			said += fmt.Sprintf(", %s new or changed since the training (%.1f%%)", text.Count(r.Labels.Changed), 100*r.Labels.Share)
		}
		p.field("labels", said)
	}
	for _, src := range m.Sources {
		state := "followed for " + text.Elapsed(now.Sub(src.Since))
		if !src.Up {
			state = coloured("1", "UNREACHABLE") + " for " + text.Elapsed(now.Sub(src.Since))
			if src.Error == "" {
				state = "not connected yet"
			}
		}
		p.field("source", src.Name+", "+state)
		if src.Notice != "" {
			p.field("", src.Notice)
		}
	}
	if a := m.Audit; a.Difference != "" {
		p.field("audit", coloured("1", "the figures were WRONG until "+clock(a.At, now))+", when they were recomputed: "+
			a.Difference)
	}
	if m.Last != nil {
		said, more := m.Last.BriefReason()
		if more != "" {
			said += " (" + more + ")"
		}
		p.field("last run", fmt.Sprintf("%s %s %s: %s", text.RunID(m.Last.ID), outcome(*m.Last), ago(m.Last.Ended, now),
			said))
	}
	p.field("window", windowSentence(m.Window, now))
	if s := m.Shadow; s != nil {
		said := "agrees with the policy"
		if s.Differs {
			said = "decides differently since " + clock(s.Changed, now) + ": " + s.Text
		}
		p.field("shadow", said+"; "+text.Plural(s.Differences, "difference")+" since "+clock(s.Since, now))
	}
	if m.Active == nil && !m.NextCheck.IsZero() {
		p.field("next check", clock(m.NextCheck, now)+", or as soon as labels change")
	}
}

// showAccuracy prints the accuracy with its interval, its baseline, and the accuracy of always answering the most
// frequent label.
func (p *page) showAccuracy(r drift.Report, floor float64, said string) {
	if r.Scored == 0 {
		if r.State != drift.StateNoRelease {
			p.field("accuracy", "unknown: "+r.Detail)
		}
		return
	}
	figure := fmt.Sprintf("%.1f%%", 100*r.Accuracy)
	if r.Accuracy < floor {
		figure = coloured("1", figure)
	}
	p.field("accuracy", fmt.Sprintf("%s of %s held-out items (95%% interval %.1f to %.1f)", figure, text.Count(r.Scored),
		100*r.Low, 100*r.High))
	beside := fmt.Sprintf("%.1f%% by always answering the most frequent label", 100*r.Majority)
	if r.Baseline != nil {
		then := "at the promotion"
		if r.Baseline.Why != "" {
			then = "as the new baseline (" + r.Baseline.Why + ")"
		}
		beside = fmt.Sprintf("%.1f%% %s; ", 100*r.Baseline.Accuracy, then) + beside
	}
	p.field("", beside)
	if r.FormatErrors > 0 {
		p.field("", formatErrors(r))
	}
	if worst, ok := weakest(r.Category); ok {
		p.field("", fmt.Sprintf("lowest recall: %s, %d of %d items right", worst.Name, worst.Correct, worst.Support))
	}
	if r.State != drift.StateOK && !strings.Contains(said, r.Detail) {
		p.field("", r.Detail)
	}
}

// formatErrors counts the unusable answers of a language model.
func formatErrors(r drift.Report) string {
	return fmt.Sprintf("%s of %s answers are unusable (%.1f%%)", text.Count(r.FormatErrors), text.Count(r.Scored),
		100*r.FormatErrorShare())
}

// weakest returns the category with the lowest recall among the categories with enough items.
func weakest(all []drift.Category) (worst drift.Category, ok bool) {
	const enough = 5
	for _, c := range all {
		if c.Support >= enough && (!ok || c.Recall < worst.Recall) {
			worst, ok = c, true
		}
	}
	return worst, ok
}

func activeSentence(r status.Run, now time.Time) string {
	for i, s := range r.Steps {
		if s.State != store.StepRunning {
			continue
		}
		said := fmt.Sprintf("%s, step %d of %d: %s for %s", text.RunID(r.ID), i+1, len(r.Steps), s.Name,
			text.Elapsed(now.Sub(s.Started)))
		if s.Progress != nil {
			said += fmt.Sprintf(", %.0f%% done", 100**s.Progress)
		}
		return said + progressText(s, now)
	}
	return text.RunID(r.ID) + " starts"
}

// progressText returns a step's text about its progress, with the estimated remaining time.
func progressText(s status.Step, now time.Time) (said string) {
	if s.ProgressText != "" {
		said = ", " + s.ProgressText
	}
	if left, ok := s.Left(now); ok {
		said += ", about " + text.Distance(left) + " left"
	}
	return said
}

func windowSentence(w status.Window, now time.Time) string {
	switch {
	case w.Open && w.Changes.IsZero():
		return "always open"
	case w.Open:
		return "open until " + clock(w.Changes, now)
	case w.Changes.IsZero():
		return "closed, and never opens"
	}
	return fmt.Sprintf("closed, opens %s (in %s)", clock(w.Changes, now), text.Elapsed(w.Changes.Sub(now)))
}
