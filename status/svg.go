package status

import (
	"fmt"
	"html/template"
	"io"
	"time"
)

// WriteChart writes the page's chart of a model's accuracy as a picture of its own (SVG): with the 95 % band, the
// baseline, the floor, and the ends of runs. It reports false, and writes nothing, where nothing was measured.
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
