package status

import (
	"fmt"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

// The views hold what the templates print, as text: a template never computes.

type pageView struct {
	Title   string
	Version string
	Up      string
	Outbox  string
	At      timeView
	Loaded  timeView
	Config  Config
	Models  []modelView
}

func newPageView(s Status) pageView {
	v := pageView{
		Title: "retraind", Version: s.Version, Up: text.Elapsed(s.At.Sub(s.Started)),
		At: clock(s.At, s.At), Loaded: newTime(s.At, s.Config.Loaded), Config: s.Config,
	}
	if s.OutboxPending > 0 {
		v.Outbox = text.Plural(s.OutboxPending, "notification") + " waiting for NATS"
	}
	if len(s.Models) == 1 {
		v.Title = fmt.Sprintf("%s: %s", s.Models[0].Name, s.Models[0].Phase)
	}
	return v
}

type modelView struct {
	Name     string
	Phase    Phase
	Sentence string
	Figures  []figureView
	Chart    chartView
	Explain  *explainView
	Runs     []runView
	Releases []releaseView
	Sources  []sourceView
}

type figureView struct {
	Label, Value, Unit, Note string
}

func newModelView(now time.Time, m Model) modelView {
	v := modelView{Name: m.Name, Phase: m.Phase, Sentence: text.Capital(m.Sentence), Figures: figures(now, m)}
	for _, s := range m.Sources {
		v.Sources = append(v.Sources, newSourceView(now, s))
	}
	return v
}

// figures are the numbers that are looked at first.
func figures(now time.Time, m Model) []figureView {
	var list []figureView
	r := m.Report
	switch {
	case r == nil:
		list = append(list, figureView{Label: "Accuracy", Value: "not measured"})
	case r.Scored == 0:
		list = append(list, figureView{Label: "Accuracy", Value: "not measured", Note: r.Detail})
	default:
		list = append(list, figureView{
			Label: "Accuracy", Value: text.Percent(r.Accuracy),
			Note: fmt.Sprintf("95 %%: %s, %s", interval(r.Low, r.High), text.Plural(r.Scored, "item")),
		})
	}
	if r != nil {
		list = append(list, baseline(*r), labels(*r))
	}
	release := figureView{Label: "Release", Value: "none"}
	if m.Release != "" {
		release.Value, release.Note = text.Digest(m.Release), "deployed "+newTime(now, m.Deployed).Text
	}
	list = append(list, release)
	if t := m.Probation; t != nil {
		list = append(list, probation(now, *t))
	}
	next := figureView{Label: "Next check", Value: "on change"}
	if !m.NextCheck.IsZero() {
		next.Value = newTime(now, m.NextCheck).Text
	}
	next.Note = window(now, m.Window)
	return append(list, next)
}

// probation says how long a release may still be taken back, and how near that is.
func probation(now time.Time, t Probation) figureView {
	f := figureView{Label: "On probation", Value: "until " + clock(now, t.Until).Text, Note: "no new item yet"}
	if t.Crossed {
		f.Value = "failed"
	}
	if t.N > 0 {
		f.Note = fmt.Sprintf("%s of %s wrong, e-value %.1f of %.0f", text.Count(t.Errors), text.Plural(t.N, "new item"), t.E,
			t.Bound)
	}
	return f
}

func baseline(r drift.Report) figureView {
	f := figureView{Label: "At promotion", Value: "no baseline"}
	if b := r.Baseline; b != nil {
		f.Value = text.Percent(b.Accuracy)
		switch {
		case r.Scored == 0:
			f.Note = ""
		case r.Drop >= 0.05:
			f.Note = fmt.Sprintf("%.1f points lost since", r.Drop)
		case r.Drop <= -0.05:
			f.Note = fmt.Sprintf("%.1f points gained since", -r.Drop)
		default:
			f.Note = "unchanged since"
		}
	}
	return f
}

func labels(r drift.Report) figureView {
	f := figureView{Label: "Labels changed", Value: text.Count(r.Labels.Changed)}
	f.Note = fmt.Sprintf("%s of %s since the training", text.Percent(r.Labels.Share), text.Count(r.Labels.Items))
	if n := len(r.Labels.New); n > 0 {
		noun := " new categories"
		if n == 1 {
			noun = " new category"
		}
		f.Note += ", " + text.Count(n) + noun
	}
	return f
}

func window(now time.Time, w Window) string {
	at := clock(now, w.Changes)
	switch {
	case w.Open && at.Text == "":
		return "runs may start at any time"
	case w.Open:
		return "quiet hours until " + at.Text
	case at.Text == "":
		return "quiet hours never open"
	default:
		return "quiet hours open " + at.Text
	}
}

type sourceView struct {
	Name, Class, Text string
}

func newSourceView(now time.Time, s Source) sourceView {
	v := sourceView{Name: s.Name, Class: "up", Text: "up"}
	if !s.Up {
		v.Class, v.Text = "down", "down"
	}
	if !s.Since.IsZero() {
		v.Text += " for " + text.Distance(now.Sub(s.Since))
	}
	if s.Up && !s.LastEvent.IsZero() {
		v.Text += ", last change " + newTime(now, s.LastEvent).Text
	}
	if s.Error != "" {
		v.Text += ": " + s.Error
	}
	if s.Notice != "" {
		v.Text += " (" + s.Notice + ")"
	}
	return v
}
