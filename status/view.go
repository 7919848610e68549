package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

// The views hold the text that the templates print: a template never computes.

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
		v.Outbox = text.Plural(s.OutboxPending, "event") + " not yet published on NATS"
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
	Foreign  bool   // a model other than the champion is served
	Notice   string // what is wrong although the champion is served
	Served   string // what is served, if the sentence does not contain it
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
	v := modelView{Name: m.Name, Phase: m.Phase, Sentence: text.Capital(m.BriefSentence()), Figures: figures(now, m)}
	if m.Served != nil && m.Served.State == ServedForeign {
		v.Foreign = true
		if !strings.Contains(m.Sentence, m.Served.Text) {
			v.Served = text.Capital(m.Served.Text)
		}
	}
	if m.Served != nil && !v.Foreign {
		v.Notice = text.Capital(m.Served.Notice)
	}
	for _, s := range m.Sources {
		v.Sources = append(v.Sources, newSourceView(now, s))
	}
	return v
}

// figures returns the key numbers.
func figures(now time.Time, m Model) []figureView {
	list := accuracies(m)
	if r := m.Report; r != nil {
		list = append(list, baseline(*r), labels(*r))
	}
	list = append(list, release(now, m))
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

// accuracies returns the accuracy of every target, the gating one first.
func accuracies(m Model) []figureView {
	r := m.Report
	if r == nil {
		return []figureView{{Label: "Accuracy", Value: "not measured"}}
	}
	gate := accuracy("Accuracy", r.Scored, r.Accuracy, r.Low, r.High)
	if len(r.Targets) > 0 {
		gate.Label = "Accuracy of " + r.Target
	}
	switch {
	case r.Scored == 0:
		gate.Note = r.Detail
	case m.Caveat != "":
		gate.Note += ", " + m.Caveat
	}
	list := []figureView{gate}
	for _, t := range r.Targets {
		list = append(list, accuracy("Accuracy of "+t.Name, t.N, t.Accuracy, t.Low, t.High))
	}
	return list
}

func accuracy(label string, n int, share, low, high float64) figureView {
	if n == 0 {
		return figureView{Label: label, Value: "not measured", Note: "no held-out item has a label for it"}
	}
	return figureView{
		Label: label, Value: text.Percent(share),
		Note: fmt.Sprintf("95%% interval %s, %s", interval(low, high), text.Plural(n, "item")),
	}
}

// release returns which release should be served, and whether that was verified.
func release(now time.Time, m Model) figureView {
	if m.Release == "" {
		return figureView{Label: "Release", Value: "none"}
	}
	f := figureView{Label: "Release", Value: text.Digest(m.Release), Note: "deployed " + newTime(now, m.Deployed).Text}
	switch s := m.Served; {
	case s == nil:
	case s.State == ServedForeign:
		f.Note += ", not serving"
		if at := newTime(now, s.Since); at.Text != "" {
			f.Note += " since " + clock(now, s.Since).Text
		}
	case s.Proved.IsZero():
	case s.State == ServedUnknown:
		f.Note += ", last proved to serve " + newTime(now, s.Proved).Text
	default:
		f.Note += ", proved to serve " + newTime(now, s.Proved).Text
	}
	return f
}

// probation returns how long a release may still be rolled back, and how close that is.
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
