package main

import (
	"fmt"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
)

// showTargets prints one line for each target other than the gating one.
func (p *page) showTargets(targets []drift.TargetFigures) {
	for i, t := range targets {
		name := ""
		if i == 0 {
			name = "targets"
		}
		said := t.Name + ": no held-out item has a label for it"
		if t.N > 0 {
			said = fmt.Sprintf("%s: %.1f%% of %s held-out items (95%% interval %.1f to %.1f)", t.Name, 100*t.Accuracy,
				text.Count(t.N), 100*t.Low, 100*t.High)
		}
		p.field(name, said)
	}
}

// tableTargets prints a table of the targets other than the gating one, with the macro-F1 of each.
func (p *page) tableTargets(targets []drift.TargetFigures) {
	var rows [][]string
	for _, t := range targets {
		row := []string{text.Cut(t.Name, 30), text.Count(t.N), "not measured", "", ""}
		if t.N > 0 {
			row = append(row[:2], fmt.Sprintf("%.1f%%", 100*t.Accuracy), fmt.Sprintf("%.1f to %.1f", 100*t.Low, 100*t.High),
				fmt.Sprintf("%.3f", t.MacroF1))
		}
		rows = append(rows, row)
	}
	p.table(2, []string{"other target", "items", "accuracy", "95% interval", "macro-F1"}, rows...)
}

// showCompared prints one line for each target that the gate compared in addition to the gating one.
func (p *page) showCompared(targets []status.ComparedTarget) {
	for i, t := range targets {
		name := ""
		if i == 0 {
			name = "targets"
		}
		said := t.Name + ": no held-out item to compare"
		if t.N > 0 {
			said = fmt.Sprintf("%s: %.1f%% of %s items (95%% interval %.1f to %.1f)", t.Name, 100*t.After, text.Count(t.N),
				100*t.Low, 100*t.High)
		}
		if t.N > 0 && t.Before != nil {
			said += fmt.Sprintf("; before %.1f%% (a loss of up to %g points is allowed)", 100**t.Before, t.Margin)
		}
		p.field(name, said)
	}
}
