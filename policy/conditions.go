package policy

import (
	"math"
	"slices"
	"time"

	"github.com/retraind/retraind/drift"
)

// condition is one compiled threshold. judge sets the figures and the state of a Condition. explain sets Labels, the
// number of further labels that would trip the condition, and returns a sentence about the condition's figures.
type condition interface {
	judge(r *drift.Report, now time.Time, c *Condition)
	explain(r *drift.Report, now time.Time, c *Condition) string
}

// named is a compiled condition with its name and its path in the configuration (see Condition).
type named struct {
	name, config string
	unit         Unit
	sustain
	condition
}

// conditions compiles the configured conditions, in the order of the configuration's keys. `under` is the path before
// their names.
func (cfg *Conditions) conditions(under string) ([]named, error) {
	var list []named
	add := func(name string, unit Unit, s sustain, c condition) {
		list = append(list, named{name, under + "." + name, unit, s, c})
	}
	if cfg.AccuracyBelow != nil {
		add("accuracy_below", UnitShare, lasting(cfg.AccuracyBelow.For, cfg.AccuracyBelow.Margin.F()/100),
			accuracyBelow{cfg.AccuracyBelow.Share.F()})
	}
	if cfg.AccuracyDrop != nil {
		add("accuracy_drop", UnitPoints, lasting(cfg.AccuracyDrop.For, cfg.AccuracyDrop.Margin.F()),
			accuracyDrop{cfg.AccuracyDrop.Points.F()})
	}
	if cfg.MacroF1Drop != nil {
		add("macro_f1_drop", UnitPoints, lasting(cfg.MacroF1Drop.For, cfg.MacroF1Drop.Margin.F()),
			macroF1Drop{cfg.MacroF1Drop.Points.F()})
	}
	if rc := cfg.CategoryRecallBelow; rc != nil {
		names := make([]string, 0, len(rc.Category))
		for name := range rc.Category {
			names = append(names, name)
		}
		slices.Sort(names)
		s := lasting(rc.For, rc.Margin.F()/100)
		if rc.All != nil {
			add("category_recall_below.all", UnitShare, s, recallBelow{bound: rc.All.F(), min: rc.MinItems, but: names})
		}
		for _, name := range names {
			add("category_recall_below."+name, UnitShare, s,
				recallBelow{bound: rc.Category[name].F(), min: rc.MinItems, only: name})
		}
	}
	if cfg.CategoryRecallDrop != nil {
		add("category_recall_drop", UnitPoints, lasting(cfg.CategoryRecallDrop.For, 0),
			recallDrop{cfg.CategoryRecallDrop.Points.F()})
	}
	if cfg.LabelChanges != nil {
		c := labelChanges{atLeast: cfg.LabelChanges.AtLeast}
		unit := UnitLabels
		if cfg.LabelChanges.Share != nil {
			c.byShare, c.share, unit = true, cfg.LabelChanges.Share.F(), UnitShare
		}
		add("label_changes", unit, lasting(cfg.LabelChanges.For, 0), c)
	}
	if cfg.NewCategory != nil {
		add("new_category", UnitLabels, lasting(cfg.NewCategory.For, 0), newCategory{cfg.NewCategory.Examples})
	}
	if cfg.LabelShift != nil {
		add("label_shift", UnitPSI, lasting(cfg.LabelShift.For, cfg.LabelShift.Margin), labelShift{cfg.LabelShift.PSI})
	}
	if f := cfg.FormatErrorsAbove; f != nil {
		add("format_errors_above", UnitShare, lasting(f.For, f.Margin.F()/100), formatErrorsAbove{f.Share.F()})
	}
	if cfg.MaxAge != nil {
		add("max_age", UnitHours, sustain{}, maxAge{cfg.MaxAge.Age.D(), cfg.MaxAge.Age.D().Hours()})
	}
	if cfg.When != nil && cfg.When.Expression != "" {
		program, err := compileWhen(cfg.When.Expression)
		if err != nil {
			return nil, err
		}
		add("when", UnitNone, lasting(cfg.When.For, 0), &when{text: cfg.When.Expression, program: program})
	}
	return list, nil
}

// settle sets the figures and the state. If `high` is true, large values trip the condition, else small ones. A breach
// trips it only if `convinced` is true, that is, if the evidence suffices; otherwise the breach is inconclusive.
func (c *Condition) settle(value, bound float64, high, breached, convinced bool) {
	c.Value, c.Bound = value, bound
	c.Distance = value - bound
	if high {
		c.Distance = bound - value
	}
	c.Breached = breached
	c.Tripped = breached && convinced
	switch {
	case c.Tripped:
		c.State = StateFail
	case breached:
		c.State = StateInconclusive
	default:
		c.State = StatePass
	}
}

// unknown marks a condition whose value is unknown as inconclusive.
func (c *Condition) unknown(bound float64) { c.State, c.Bound = StateInconclusive, bound }

// missing sets how many more labels would trip the condition. `how` computes that number; it is nil if the number is
// unknown.
func (c *Condition) missing(how func() int) {
	switch {
	case c.Tripped:
		c.Labels = 0
	case how == nil:
		c.Labels = -1
	default:
		c.Labels = how()
	}
}

// fewest returns the smallest k in [0, most] for which `reached` returns true, or -1 if there is none. It starts the
// search at an estimate; `reached` must be monotonic.
func fewest(estimate float64, most int, reached func(k int) bool) int {
	if math.IsNaN(estimate) {
		return -1
	}
	k := int(min(max(estimate-2, 0), float64(most)))
	for k > 0 && reached(k-1) {
		k--
	}
	for ; k <= most; k++ {
		if reached(k) {
			return k
		}
	}
	return -1
}
