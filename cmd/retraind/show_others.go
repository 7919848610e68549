package main

import (
	"fmt"
	"math"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
)

const daysInYear = 365

// others describes how often some conditions trip in a year although nothing changes: because of the calendar, of new
// labels, or of chance. These are the conditions that do not depend on right and wrong answers.
func others(prefix string, w policy.Conditions, r drift.Report, rate float64) (rows [][]string) {
	add := func(name, bound, said string) { rows = append(rows, []string{prefix + name, bound, said}) }
	if l := w.LabelChanges; l != nil {
		need, bound := float64(l.AtLeast), fmt.Sprintf("%d items", l.AtLeast)
		if l.Share != nil {
			need = max(need, math.Ceil(l.Share.F()*float64(r.Labels.Items)))
			if bound = l.Share.String(); l.AtLeast > 0 {
				bound += fmt.Sprintf(" and %d items", l.AtLeast)
			}
		}
		switch {
		case float64(r.Labels.Changed) >= max(need, 1):
			add("label_changes", bound, "it trips now")
		case rate == rateUnknown:
			add("label_changes", bound, notKnown)
		case rate <= 0 || r.HeldOut == 0:
			add("label_changes", bound, "none: no labels arrive")
		default: // counts the labels of all items, not only of held-out ones
			all := rate * float64(r.Labels.Items) / float64(r.HeldOut)
			add("label_changes", bound,
				fmt.Sprintf("about %.1f, because %.1f labels arrive per day", all*daysInYear/max(need, 1), all))
		}
	}
	if n := w.NewCategory; n != nil {
		said := "none: chance does not create categories"
		for _, examples := range r.Labels.New {
			if examples >= n.Examples {
				said = "it trips now"
			}
		}
		add("new_category", fmt.Sprintf("%d examples", n.Examples), said)
	}
	if l := w.LabelShift; l != nil {
		add("label_shift", fmt.Sprintf("PSI %g", l.PSI), shiftText(l.PSI, r))
	}
	if f := w.FormatErrorsAbove; f != nil {
		said := "none: chance does not make answers unusable"
		if r.FormatErrorShare() > f.Share.F() {
			said = "it trips now"
		}
		add("format_errors_above", f.Share.String(), said)
	}
	if w.MaxAge != nil {
		add("max_age", w.MaxAge.Age.String(), fmt.Sprintf("about %.1f, by schedule", daysInYear*24/w.MaxAge.Age.D().Hours()))
	}
	if w.When != nil && w.When.Expression != "" {
		add("when", text.Cut(w.When.Expression, 30),
			"not computed for expressions: see retraind backtest")
	}
	return rows
}

// shiftText describes how often, at most, chance alone shifts the label distribution by the given PSI. The bound
// assumes that two independent samples, each as large as the set of items that are not held out, are compared once a
// day. In fact most items of two days are the same, so such a shift happens less often.
func shiftText(psi float64, r drift.Report) string {
	if r.Labels.PSI >= psi {
		return "it trips now"
	}
	categories := 0
	for _, c := range r.Category {
		if c.Support > 0 {
			categories++
		}
	}
	n := r.Labels.Items - r.HeldOut
	if perYear := daysInYear * stats.ShiftByChance(psi, categories, n, n); perYear >= 0.05 {
		return fmt.Sprintf("at most %.1f by chance", perYear)
	}
	return "less than 0.1"
}
