package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/guptarohit/asciigraph"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
)

const (
	plotHeight    = 8
	axisWidth     = 8
	shownPartings = 6 // number of categories whose part in a drop is shown
)

// showDrift prints everything about one model's accuracy, beginning with the figure.
func (p *page) showDrift(d driftAnswer, since, now time.Time, plot bool) {
	r := d.Report
	head := bold(d.Model)
	if r.Release != "" {
		head += "  release " + text.Digest(r.Release)
	}
	p.line(head, 4)
	p.showAccuracy(r, 0, "")
	p.showBeside(r)
	p.showChange(r, d.Drop)
	p.line("", 0)
	p.showSeries(d.Series, since, now, plot)
	if len(r.Category) > 0 {
		p.line("", 0)
		p.showCategories(r)
	}
	if len(r.Targets) > 0 {
		p.line("", 0)
		p.tableTargets(r.Targets)
	}
	if d.Drop != nil && math.Abs(d.Drop.Drop) >= 0.05 {
		p.line("", 0)
		p.showDecomposition(*d.Drop)
	}
	p.line("", 0)
	p.showFindings(d.Diagnosis)
}

// showBeside prints further figures, and problems that the accuracy does not show.
func (p *page) showBeside(r drift.Report) {
	if r.State == drift.StateNoRelease {
		p.field("accuracy", "unknown: "+r.Detail)
	}
	if r.Scored > 0 {
		p.field("also", fmt.Sprintf("macro-F1 %.3f, balanced accuracy %.3f, kappa %.3f, MCC %.3f", r.MacroF1, r.Balanced,
			r.Kappa, r.MCC))
	}
	if r.FormatErrors > 0 {
		p.field("unusable", formatErrors(r)+": not JSON, not in the schema, cut off or of no known category; they count as wrong")
	}
	if r.Leaked > 0 {
		p.field("leaked", fmt.Sprintf("%s of %s held-out items (%.1f%%) were in this release's training data: not counted",
			text.Count(r.Leaked), text.Count(r.Leaked+r.HeldOut), 100*float64(r.Leaked)/float64(r.Leaked+r.HeldOut)))
	}
}

// showChange prints how much the accuracy has changed since the promotion, and then the effect of corrected labels and
// the errors on new items.
func (p *page) showChange(r drift.Report, d *drift.Decomposition) {
	if r.Baseline == nil || r.Scored == 0 {
		return
	}
	change := fmt.Sprintf("none since the promotion (%.1f%%)", 100*r.Baseline.Accuracy)
	if math.Abs(r.Drop) >= 0.05 {
		change = fmt.Sprintf("%s points since the promotion (%.1f%%)", signed(-r.Drop), 100*r.Baseline.Accuracy)
	}
	if d != nil && math.Abs(d.Drop) >= 0.05 {
		change += fmt.Sprintf(": %s from recall, %s from the mix of categories, %s from new categories", signed(-d.Recall),
			signed(-d.Mix), signed(-d.New))
	}
	p.field("change", change)
	c := r.Relabels
	if n := c.RightToWrong + c.WrongToRight; n > 0 {
		p.field("corrected", fmt.Sprintf("%s labels made a right answer wrong, %s made a wrong answer right: %s points (sign test p %s)",
			text.Count(c.RightToWrong), text.Count(c.WrongToRight),
			signed(100*float64(c.WrongToRight-c.RightToWrong)/float64(r.Scored)), pValue(c.P)))
	}
	if n := r.NewItems; n.N > 0 {
		said := fmt.Sprintf("%s since the promotion, %s answered wrongly (%.1f%%)", text.Count(n.N),
			text.Count(n.Errors), 100*float64(n.Errors)/float64(n.N))
		if n.Since.N > 0 && n.Drop > 0 {
			said += fmt.Sprintf("; the error rate of the last %s is %.1f points higher, at least %.1f with confidence",
				text.Count(n.Since.N), n.Estimate, n.Drop)
		}
		if n.Dependence >= 1.05 {
			said += fmt.Sprintf("; errors are correlated, so %.1f items count as one", n.Dependence)
		}
		p.field("new items", said)
	}
}

func pValue(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return fmt.Sprintf("= %.3f", p)
}

// signed formats points with their sign; zero has none.
func signed(points float64) string {
	if math.Abs(points) < 0.05 {
		return "0.0"
	}
	return fmt.Sprintf("%+.1f", points)
}

// showSeries prints the chart, or the series in words.
func (p *page) showSeries(points []status.Point, since, now time.Time, plot bool) {
	if len(points) == 0 {
		p.field("series", "no evaluation since "+clock(since, now))
		return
	}
	if !plot {
		lowest, highest := points[0], points[0]
		for _, pt := range points {
			if pt.Accuracy < lowest.Accuracy {
				lowest = pt
			}
			if pt.Accuracy > highest.Accuracy {
				highest = pt
			}
		}
		p.field("series", fmt.Sprintf("%s since %s: between %.1f%% (%s) and %.1f%% (%s)",
			text.Plural(len(points), "evaluation"), clock(points[0].At, now),
			100*lowest.Accuracy, clock(lowest.At, now), 100*highest.Accuracy, clock(highest.At, now)))
		return
	}
	chart := plotSeries(points, p.width-axisWidth-4)
	p.line("  accuracy in %, with its 95% interval", 0)
	for _, l := range strings.Split(chart, "\n") {
		p.b.WriteString("  " + strings.TrimRight(l, " ") + "\n")
	}
	from, to := clock(points[0].At, now), clock(points[len(points)-1].At, now)
	p.b.WriteString("  " + strings.Repeat(" ", axisWidth-2) + from + strings.Repeat(" ",
		max(1, p.width-axisWidth-2-lipgloss.Width(from)-lipgloss.Width(to))) + to + "\n")
}

// plotSeries draws the accuracy and its band over time. Each column is an equal period, not one evaluation.
func plotSeries(points []status.Point, width int) string {
	low, mid, high := make([]float64, width), make([]float64, width), make([]float64, width)
	first, last := points[0].At, points[len(points)-1].At
	at := 0
	floor, ceiling := 100.0, 0.0
	for x := range width {
		t := last
		if width > 1 {
			t = first.Add(time.Duration(float64(last.Sub(first)) * float64(x) / float64(width-1)))
		}
		for at+1 < len(points) && !points[at+1].At.After(t) {
			at++
		}
		pt := points[at]
		low[x], mid[x], high[x] = 100*pt.Low, 100*pt.Accuracy, 100*pt.High
		floor, ceiling = min(floor, low[x]), max(ceiling, high[x])
	}
	return asciigraph.PlotMany([][]float64{low, high, mid}, asciigraph.Height(plotHeight), asciigraph.Precision(1),
		asciigraph.SeriesColors(asciigraph.DimGray, asciigraph.DimGray, asciigraph.Cyan),
		asciigraph.LowerBound(math.Floor(floor)), asciigraph.UpperBound(math.Ceil(ceiling)))
}

func (p *page) showCategories(r drift.Report) {
	var rows [][]string
	for _, c := range r.Category {
		then := ""
		if r.Baseline != nil {
			if b, ok := r.Baseline.Category[c.Name]; ok && b.N > 0 {
				then = fmt.Sprintf("%.1f%%", 100*float64(b.N-b.Errs)/float64(b.N))
			} else if len(r.Baseline.Category) > 0 {
				then = "new"
			}
		}
		recall := "none"
		if c.Support > 0 {
			low, high := stats.Wilson(c.Correct, c.Support)
			recall = fmt.Sprintf("%.1f%% (%.0f to %.0f)", 100*c.Recall, 100*low, 100*high)
		}
		precision := "never answered"
		if c.Predicted > 0 {
			precision = fmt.Sprintf("%.1f%%", 100*c.Precision)
		}
		rows = append(rows, []string{
			text.Cut(c.Name, 30), text.Count(c.Support), recall, then, precision,
			fmt.Sprintf("%.3f", c.F1),
		})
	}
	p.table(2, []string{"category", "items", "recall", "at promotion", "precision", "F1"}, rows...)
}

func (p *page) showDecomposition(d drift.Decomposition) {
	var rows [][]string
	for i, c := range d.Category {
		if i == shownPartings || math.Abs(c.Total()) < 0.05 {
			break
		}
		why := []string{}
		if math.Abs(c.Recall) >= 0.05 {
			why = append(why, fmt.Sprintf("recall from %.0f%% to %.0f%%", 100*c.RecallThen, 100*c.RecallNow))
		}
		if math.Abs(c.Mix) >= 0.05 {
			why = append(why, fmt.Sprintf("share from %.1f%% to %.1f%%", 100*c.ShareThen, 100*c.ShareNow))
		}
		if c.New != 0 {
			why = append(why, fmt.Sprintf("new category, %.1f%% of the items, recall %.0f%%", 100*c.ShareNow, 100*c.RecallNow))
		}
		rows = append(rows, []string{text.Cut(c.Name, 30), signed(-c.Total()), strings.Join(why, ", ")})
	}
	p.table(2, []string{"cause", "points", ""}, rows...)
}

func (p *page) showFindings(d drift.Diagnosis) {
	colours := map[drift.Tristate]string{drift.Yes: "3", drift.No: "2", drift.Unknown: "8"}
	for _, f := range d.Findings {
		p.line(fmt.Sprintf("  %s  %s", bold(f.Question), coloured(colours[f.Answer], strings.ToUpper(string(f.Answer)))), 4)
		p.line("    "+text.Capital(f.Text)+".", 4)
	}
	if d.Text.Drifted && len(d.Text.Words) > 0 {
		var words []string
		for _, w := range d.Text.Words {
			words = append(words, fmt.Sprintf("%s (in %d of %d, before in %d of %d)", w.Word, w.Now, d.Text.Now, w.Then, d.Text.Then))
		}
		p.line("    Words that are typical of new texts: "+strings.Join(words, ", ")+".", 4)
	}
}
