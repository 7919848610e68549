package status

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

// chartView is the accuracy over time. Positions are percentages of the drawing, so that it scales to any width.
type chartView struct {
	Shown   bool
	Label   string // text alternative
	Caption string
	Y, X    []tickView
	Band    string // path in a drawing of 1000 by 1000
	Line    string
	Rules   []ruleView
	Marks   []markView
	Last    *dotView
}

type tickView struct{ At, Text, Anchor string }

type ruleView struct{ At, Dy, Text, Class string }

type markView struct{ At, Run, Class, Title string }

type dotView struct{ X, Y, Title string }

// The position of the plot in the drawing, in percent from the top and the left; the times are below it, the
// percentages beside it.
const (
	plotLeft   = 6.0
	plotTop    = 6.0
	plotBottom = 88.0
	maxPoints  = 300
)

// scale maps times and accuracies to percent.
type scale struct {
	from, to  time.Time
	low, high float64
	step      float64 // between two grid lines
}

func (s scale) x(t time.Time) float64 {
	return plotLeft + (100-plotLeft)*float64(t.Sub(s.from))/float64(s.to.Sub(s.from))
}

func (s scale) y(accuracy float64) float64 {
	return plotBottom - (plotBottom-plotTop)*(accuracy-s.low)/(s.high-s.low)
}

// newChart draws the history with its band, the baseline, the floor, and a mark for each run that has started: at its
// end or, while it is active, at its start.
func newChart(now time.Time, m Model, history []Point, runs []Run) chartView {
	points := thin(history)
	if len(points) == 0 {
		return chartView{}
	}
	last := points[len(points)-1]
	s := fit(now, m, points)
	v := chartView{
		Shown: true,
		Label: fmt.Sprintf("Accuracy since %s: now %s, 95%% interval %s",
			points[0].At.In(now.Location()).Format("2 Jan 15:04"), text.Percent(last.Accuracy), interval(last.Low, last.High)),
		Caption: "band: 95% interval",
		Y:       s.yTicks(),
		X:       s.xTicks(now.Location()),
		Last:    &dotView{decimal(s.x(last.At)), decimal(s.y(last.Accuracy)), text.Percent(last.Accuracy)},
	}
	v.Line, v.Band = s.paths(points)
	if m.Report != nil && m.Report.Baseline != nil {
		v.Rules = append(v.Rules, ruleView{
			decimal(s.y(m.Report.Baseline.Accuracy)), "-5",
			"at promotion " + text.Percent(m.Report.Baseline.Accuracy), "baseline",
		})
	}
	if m.Floor > 0 {
		v.Rules = append(v.Rules, ruleView{decimal(s.y(m.Floor)), "14", "retrain below " + text.Percent(m.Floor), "floor"})
	}
	for _, r := range runs {
		at := latest(r)
		if at.Before(s.from) || at.After(s.to) || r.State == store.RunQueued {
			continue
		}
		class := r.Word()
		v.Marks = append(v.Marks, markView{
			decimal(s.x(at)), r.ID, class,
			strings.ReplaceAll(class, "_", " ") + ": " + r.Trigger,
		})
	}
	return v
}

// thin drops points without a valid accuracy. If more are left than a screen shows, it keeps every k-th, and the last.
func thin(history []Point) []Point {
	var points []Point
	for _, p := range history {
		if !math.IsNaN(p.Accuracy+p.Low+p.High) && p.N > 0 {
			points = append(points, p)
		}
	}
	step := (len(points) + maxPoints - 1) / maxPoints
	if step < 2 {
		return points
	}
	kept := points[:0:0]
	for i := (len(points) - 1) % step; i < len(points); i += step {
		kept = append(kept, points[i])
	}
	return kept
}

// fit returns a scale that covers everything that is drawn, rounded outwards to whole steps of the ticks.
func fit(now time.Time, m Model, points []Point) scale {
	s := scale{from: points[0].At, to: now, low: 1, high: 0}
	for _, p := range points {
		s.low, s.high = min(s.low, p.Low), max(s.high, p.High)
	}
	if m.Report != nil && m.Report.Baseline != nil {
		s.low, s.high = min(s.low, m.Report.Baseline.Accuracy), max(s.high, m.Report.Baseline.Accuracy)
	}
	if m.Floor > 0 {
		s.low, s.high = min(s.low, m.Floor), max(s.high, m.Floor)
	}
	s.step = tickStep(s.high - s.low)
	s.low = math.Max(0, s.step*math.Floor(s.low/s.step+1e-9))
	s.high = math.Min(1, s.step*math.Ceil(s.high/s.step-1e-9))
	if s.high <= s.low {
		s.low, s.high = math.Max(0, s.low-s.step), math.Min(1, s.high+s.step)
	}
	// A range of zero length cannot be drawn: the first evaluation gets one minute before it.
	if s.to.Sub(s.from) < time.Minute {
		s.from = s.to.Add(-time.Minute)
	}
	return s
}

// tickStep returns a step that gives two to seven grid lines.
func tickStep(span float64) float64 {
	for _, step := range []float64{0.005, 0.01, 0.02, 0.05, 0.1} {
		if span/step <= 5 {
			return step
		}
	}
	return 0.2
}

func (s scale) yTicks() []tickView {
	places := 0
	if s.step < 0.01 {
		places = 1
	}
	var ticks []tickView
	for k := math.Round(s.low / s.step); k*s.step <= s.high+1e-9; k++ {
		ticks = append(ticks, tickView{At: decimal(s.y(k * s.step)), Text: fmt.Sprintf("%.*f%%", places, 100*k*s.step)})
	}
	return ticks
}

// timeSteps are the possible steps of the time axis, with the format of their labels.
var timeSteps = []struct {
	every  time.Duration
	layout string
}{
	{5 * time.Second, "15:04:05"},
	{15 * time.Second, "15:04:05"},
	{time.Minute, "15:04"},
	{5 * time.Minute, "15:04"},
	{15 * time.Minute, "15:04"},
	{time.Hour, "15:04"},
	{3 * time.Hour, "15:04"},
	{6 * time.Hour, "Mon 15:04"},
	{24 * time.Hour, "2 Jan"},
	{2 * 24 * time.Hour, "2 Jan"},
	{7 * 24 * time.Hour, "2 Jan"},
}

// xTicks marks round times of day, or whole days, in local time.
func (s scale) xTicks(zone *time.Location) []tickView {
	span := s.to.Sub(s.from)
	step := timeSteps[len(timeSteps)-1]
	for _, candidate := range timeSteps {
		if span/candidate.every < 6 {
			step = candidate
			break
		}
	}
	// Count from midnight of the first day, so that steps within a day fall on round hours.
	first := s.from.In(zone)
	at := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, zone)
	if step.every < 24*time.Hour {
		at = at.Add(first.Sub(at).Truncate(step.every))
	}
	var ticks []tickView
	for days := 0; !at.After(s.to); {
		if x := s.x(at); x >= plotLeft && x <= 100 {
			anchor := "middle"
			if x > 96 {
				anchor = "end"
			}
			ticks = append(ticks, tickView{At: decimal(x), Text: at.Format(step.layout), Anchor: anchor})
		}
		if step.every >= 24*time.Hour { // by the calendar: a day may have 23 hours
			days += int(step.every / (24 * time.Hour))
			at = time.Date(first.Year(), first.Month(), first.Day()+days, 0, 0, 0, 0, zone)
		} else {
			at = at.Add(step.every)
		}
	}
	return ticks
}

// paths returns the line through the accuracies and the band between their bounds, in thousandths.
func (s scale) paths(points []Point) (line, band string) {
	var over, upper, lower strings.Builder
	for i, p := range points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		x := decimal(10 * s.x(p.At))
		fmt.Fprintf(&over, "%s%s,%s", command, x, decimal(10*s.y(p.Accuracy)))
		fmt.Fprintf(&upper, "%s%s,%s", command, x, decimal(10*s.y(p.High)))
	}
	for i := len(points) - 1; i >= 0; i-- {
		fmt.Fprintf(&lower, "L%s,%s", decimal(10*s.x(points[i].At)), decimal(10*s.y(points[i].Low)))
	}
	return over.String(), upper.String() + lower.String() + "Z"
}

// WriteChart writes the page's chart of a model's accuracy as an SVG: with the 95% band, the baseline, the floor, and
// the runs. Without a measurement it writes nothing and reports false.
func WriteChart(w io.Writer, now time.Time, m Model, history []Point, runs []Run) (bool, error) {
	chart := newChart(now, m, history, runs)
	if !chart.Shown {
		return false, nil
	}
	t, err := template.ParseFS(assets, "assets/chart.svg")
	if err != nil {
		return false, fmt.Errorf("parse the chart: %w", err)
	}
	return true, t.Execute(w, map[string]any{
		"Chart": chart,
		"Title": fmt.Sprintf("%s: accuracy on held-out items, %s", m.Name, now.Format("2 Jan 2006 15:04 MST")),
	})
}
