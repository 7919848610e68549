package evaluator

import (
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

const (
	recallCondition  = "category_recall_below"
	macroF1Condition = "macro_f1_drop"
)

// causeOf returns what the gate must check because of the tripped conditions: the categories whose recall is too low,
// and whether macro-F1 fell. Other conditions give the gate nothing to check.
func causeOf(d policy.Decision, r *drift.Report) (cause actions.Cause) {
	if r == nil {
		return cause
	}
	for _, c := range d.Conditions {
		if !c.Tripped {
			continue
		}
		cause.MacroF1 = cause.MacroF1 || c.Name == macroF1Condition
		name, named := strings.CutPrefix(c.Name, recallCondition+".")
		switch {
		case named:
			cause.Categories = append(cause.Categories, name)
		case c.Name == recallCondition:
			for _, k := range r.Category {
				if k.Recall < c.Bound {
					cause.Categories = append(cause.Categories, k.Name)
				}
			}
		}
	}
	return cause
}
