package demo

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/guptarohit/asciigraph"
	"golang.org/x/term"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

const (
	shownEvents = 8
	chartHeight = 6
	defaultWide = 100
)

func bold(s string) string  { return lipgloss.NewStyle().Bold(true).Render(s) }
func faint(s string) string { return lipgloss.NewStyle().Faint(true).Render(s) }
func colour(n string, s string) string {
	return lipgloss.NewStyle().Foreground(lipgloss.Color(n)).Render(s)
}

// width returns the terminal's width, so that no line wraps.
func (s *stage) width() int {
	if f, ok := s.out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 40 {
			return min(w, 140)
		}
	}
	return defaultWide
}

// picture renders the screen.
func (s *stage) picture() string {
	wide := s.width()
	var b strings.Builder
	row := func(text string) { b.WriteString(lipgloss.NewStyle().MaxWidth(wide).Render(text) + "\n") }
	row(bold("retraind demo") + faint(fmt.Sprintf("  %s  ", time.Since(s.start).Round(time.Second))) + colour("5", s.act))
	row(faint(s.what))
	row("")
	m := s.model
	if m == nil {
		row(faint("starting …"))
	} else {
		row(phaseMark(m.Phase) + " " + m.Sentence)
		row("")
		row(s.accuracy(m))
		for _, l := range strings.Split(s.chart(wide), "\n") {
			row(faint("  ") + l)
		}
		row("")
		row(steps(m))
	}
	if a := s.world.asker.Load(); a != nil {
		failed := colour("2", "0 failed")
		if n := a.failed.Load(); n > 0 {
			failed = colour("1", fmt.Sprintf("%d FAILED", n))
		}
		row(fmt.Sprintf("%s %d requests to /classify, %s", faint("clients "), a.requests.Load(), failed))
	}
	row("")
	for _, l := range s.lines[max(0, len(s.lines)-shownEvents):] {
		row(faint(fmt.Sprintf("%5.1fs ", l.at.Sub(s.start).Seconds())) + kindColour(l.kind) + " " + l.text)
	}
	for range shownEvents - min(shownEvents, len(s.lines)) {
		row("")
	}
	return b.String()
}

func phaseMark(p status.Phase) string {
	c := map[status.Phase]string{
		status.Watching: "2", status.Armed: "3", status.Running: "6", status.Held: "1",
		status.Broken: "1", status.Asleep: "4",
	}[p]
	return colour(c, "● "+strings.ToUpper(string(p)))
}

func kindColour(kind string) string {
	c := map[string]string{
		"model.deployed": "2", "model.rejected": "3", "model.rolled_back": "1", "drift.tripped": "3",
		"run.started": "6",
	}[kind]
	if c == "" {
		return faint(fmt.Sprintf("%-17s", kind))
	}
	return colour(c, fmt.Sprintf("%-17s", kind))
}

func (s *stage) accuracy(m *status.Model) string {
	r := m.Report
	if r == nil || r.Scored == 0 {
		return faint("accuracy ") + " unknown: no release serves"
	}
	out := fmt.Sprintf("%s %s  %s", faint("accuracy"), bold(fmt.Sprintf("%.1f%%", 100*r.Accuracy)),
		faint(fmt.Sprintf("%.1f to %.1f with 95%% confidence, %d held-out items", 100*r.Low, 100*r.High, r.Scored)))
	if r.Baseline != nil {
		out += faint(fmt.Sprintf(", %.1f%% when promoted", 100*r.Baseline.Accuracy))
	}
	return out
}

// chart draws the accuracy since the start. Each column shows the last evaluation before its time.
func (s *stage) chart(wide int) string {
	if len(s.series) < 2 {
		return strings.Repeat("\n", chartHeight)
	}
	columns := wide - 14
	var mid, low, high []float64
	begin, end := s.series[0].At, time.Now()
	at := 0
	for c := range columns {
		t := begin.Add(end.Sub(begin) * time.Duration(c) / time.Duration(columns))
		for at+1 < len(s.series) && !s.series[at+1].At.After(t) {
			at++
		}
		p := s.series[at]
		mid, low, high = append(mid, 100*p.Accuracy), append(low, 100*p.Low), append(high, 100*p.High)
	}
	return asciigraph.PlotMany([][]float64{low, high, mid}, asciigraph.Height(chartHeight), asciigraph.Precision(0),
		asciigraph.SeriesColors(asciigraph.DimGray, asciigraph.DimGray, asciigraph.Cyan),
		asciigraph.LowerBound(math.Floor((slices.Min(low)-1)/10)*10), asciigraph.UpperBound(100))
}

// steps draws the steps of the active run, or of the last one.
func steps(m *status.Model) string {
	r := m.Active
	if r == nil {
		r = m.Last
	}
	if r == nil {
		return faint("no run yet")
	}
	parts := []string{faint("run " + text.RunID(r.ID))}
	for _, s := range r.Steps {
		parts = append(parts, step(s))
	}
	if r.Outcome != "" {
		c := map[policy.Outcome]string{policy.OutcomePromoted: "2", policy.OutcomeRejected: "3"}[r.Outcome]
		if c == "" {
			c = "1"
		}
		parts = append(parts, colour(c, bold(string(r.Outcome))))
	}
	return strings.Join(parts, faint(" › "))
}

const barWidth = 8

func step(s status.Step) string {
	switch s.State {
	case store.StepWaiting:
		return faint(s.Name)
	case store.StepRunning:
		share := 0.0
		if s.Progress != nil {
			share = *s.Progress
		}
		full := int(share*barWidth + 0.5)
		return colour("6", s.Name+" "+strings.Repeat("█", full)+strings.Repeat("░", barWidth-full))
	case store.StepOK:
		return colour("2", s.Name) + faint(fmt.Sprintf(" %.1fs", s.Seconds(time.Now())))
	}
	return colour("1", s.Name+" ✗")
}
