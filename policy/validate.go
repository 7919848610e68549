package policy

import (
	"math"
	"slices"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// Validate reports what cannot work (rules that cannot be judged, limits that allow nothing, quiet hours that never
// start), and warns of questionable settings. loc is the configured time zone. Validate does not read calendar files;
// only Compile does.
func (c Config) Validate(loc *time.Location) check.Problems {
	var p check.Problems
	p.Under("evaluate", c.Evaluate.validate(loc))
	if c.RetrainWhen.empty() && c.UrgentWhen.empty() {
		p.Errorf("retrain_when", "write at least one, such as accuracy_drop: {points: 3}",
			"no condition: a retrain would never become due")
	}
	p.Under("retrain_when", c.RetrainWhen.validate())
	p.Under("urgent_when", c.UrgentWhen.validate())
	if a, b := c.UrgentWhen.AccuracyBelow, c.RetrainWhen.AccuracyBelow; a != nil && b != nil && b.Share > 0 &&
		a.Share >= b.Share {
		p.Warnf("urgent_when.accuracy_below", "set a lower share",
			"%s is not below the %s of retrain_when: every retrain for low accuracy would ignore quiet hours", a.Share, b.Share)
	}
	p.Under("limits", c.Limits.validate())
	if c.Probation != nil {
		p.Under("probation", c.Probation.validate())
	}
	p.Under("", quiethours.Validate(c.QuietHours))
	if !quiethours.Validate(c.QuietHours).HasErrors() {
		// Without the dates of calendars: they can only close more days, and are checked by Compile.
		none := func(string) ([]byte, error) { return []byte("BEGIN:VEVENT\nEND:VEVENT\n"), nil }
		if w, err := quiethours.NewWindows(c.QuietHours, loc, none); err == nil &&
			w.NeverOpens(time.Date(2026, 1, 1, 0, 0, 0, 0, loc)) {
			p.Errorf("quiet_hours", "check the days and the exceptions", "no window opens in five years")
		}
	}
	return p
}

func (e Evaluate) validate(loc *time.Location) check.Problems {
	var p check.Problems
	notNegative(&p, "every", e.Every)
	notNegative(&p, "debounce", e.Debounce)
	notNegative(&p, "max_wait", e.MaxWait)
	if e.Every > 0 && e.Every < unit.Duration(time.Second) {
		p.Errorf("every", "write 1m or more", "%s between evaluations is too short", e.Every)
	}
	if e.MaxWait < e.Debounce {
		p.Errorf("max_wait", "set max_wait to debounce or more", "max_wait %s is shorter than debounce %s", e.MaxWait,
			e.Debounce)
	}
	if e.AfterChanges < 0 {
		p.Errorf("after_changes", "write 25, or 0 to wait for max_wait", "%d changes are impossible", e.AfterChanges)
	}
	if e.MinItems < 1 {
		p.Errorf("min_items", "write 200 or more", "%d items are too few", e.MinItems)
	}
	if e.Schedule != "" {
		if _, err := ParseSchedule(e.Schedule, loc); err != nil {
			p.Add("schedule", err)
		}
	}
	return p
}

func (c Conditions) empty() bool {
	return c.AccuracyBelow == nil && c.AccuracyDrop == nil && c.MacroF1Drop == nil && c.CategoryRecallBelow == nil &&
		c.CategoryRecallDrop == nil && c.LabelChanges == nil && c.NewCategory == nil && c.LabelShift == nil &&
		c.FormatErrorsAbove == nil && c.MaxAge == nil && (c.When == nil || c.When.Expression == "")
}

func (c Conditions) validate() check.Problems {
	var p check.Problems
	if c.AccuracyBelow != nil {
		switch share := c.AccuracyBelow.Share; {
		case share < 0:
			p.Errorf("accuracy_below", "add share: 85%, or write accuracy_below: 85%", "no accuracy floor")
		case share == 0:
			p.Warnf("accuracy_below", "write 85%, or remove it", "an accuracy is never below 0%%")
		default:
			isShare(&p, "accuracy_below", share)
		}
		if top := c.AccuracyBelow.Share.F()*100 + c.AccuracyBelow.Margin.F(); c.AccuracyBelow.Margin > 0 && top >= 100 {
			p.Errorf("accuracy_below.margin", "write a smaller margin, such as 1",
				"the floor plus its margin is %s: the condition could never clear", text.Percent(top/100))
		}
	}
	if d := c.AccuracyDrop; d != nil {
		isPoints(&p, "accuracy_drop.points", d.Points)
		if !d.FalseRetrains.IsZero() {
			isRate(&p, "accuracy_drop.false_retrains", d.FalseRetrains, "write 1 per 180d")
		}
		switch d.Test {
		case "", TestECUSUM:
		case "adwin", "ddm", "page_hinkley":
			p.Errorf("accuracy_drop.test", "remove the line: new items are tested by the e-CUSUM, which keeps false_retrains",
				"test %s no longer exists", string(d.Test))
		default:
			p.Errorf("accuracy_drop.test", "write ecusum, or remove the line", "no test is called %q", string(d.Test))
		}
	}
	if c.MacroF1Drop != nil {
		isPoints(&p, "macro_f1_drop.points", c.MacroF1Drop.Points)
	}
	if rc := c.CategoryRecallBelow; rc != nil {
		if rc.All == nil && len(rc.Category) == 0 {
			p.Errorf("category_recall_below", "write all: 70%, or a category's name with its floor", "no category has a floor")
		}
		if rc.MinItems < 1 {
			p.Errorf("category_recall_below.min_items", "write 30; with fewer items a recall is mostly due to chance",
				"%d items are too few", rc.MinItems)
		}
		if rc.All != nil {
			isShare(&p, "category_recall_below.all", *rc.All)
		}
		highest := unit.Percent(0)
		if rc.All != nil {
			highest = *rc.All
		}
		for name, floor := range rc.Category {
			isShare(&p, "category_recall_below."+name, floor)
			highest = max(highest, floor)
		}
		if top := highest.F()*100 + rc.Margin.F(); rc.Margin > 0 && top >= 100 {
			p.Errorf("category_recall_below.margin", "write a smaller margin, such as 1",
				"the highest floor plus its margin is %s: the condition could never clear", text.Percent(top/100))
		}
	}
	if d := c.CategoryRecallDrop; d != nil {
		isPoints(&p, "category_recall_drop.points", d.Points)
		isRate(&p, "category_recall_drop.false_retrains", d.FalseRetrains, "write 1 per 180d")
		if d.MinItems < 1 {
			p.Errorf("category_recall_drop.min_items", "write 30; with fewer items a recall is mostly due to chance",
				"%d items are too few", d.MinItems)
		}
	}
	if l := c.LabelChanges; l != nil {
		if l.Share != nil {
			isShare(&p, "label_changes.share", *l.Share)
		}
		if l.AtLeast < 0 {
			p.Errorf("label_changes.at_least", "write 50, or 0 for any change", "%d labels are impossible", l.AtLeast)
		}
	}
	if n := c.NewCategory; n != nil {
		switch {
		case n.Examples < 0:
			p.Errorf("new_category.examples", "write 20", "%d examples are impossible", n.Examples)
		case n.Examples < 20:
			p.Warnf("new_category.examples", "write 20 or more", "%d examples of a new category are too few to learn it",
				n.Examples)
		}
	}
	if l := c.LabelShift; l != nil {
		if !(l.PSI >= 0 && !math.IsInf(l.PSI, 0)) {
			p.Errorf("label_shift.psi", "write 0.2 for a clear shift", "%v is not a valid PSI", l.PSI)
		}
		if !(l.Margin >= 0 && (l.Margin < l.PSI || l.Margin == 0)) {
			p.Errorf("label_shift.margin", "write less than psi, such as 0.05",
				"with a margin of %v below a psi of %v the condition could never clear", l.Margin, l.PSI)
		}
	}
	if f := c.FormatErrorsAbove; f != nil {
		if !(f.Share >= 0 && f.Share < 1) {
			p.Errorf("format_errors_above.share", "write 2%", "the share of unusable answers can never exceed %v", f.Share)
		}
		if f.Margin.F()/100 > f.Share.F() {
			p.Errorf("format_errors_above.margin", "write a smaller margin, such as 1",
				"with a margin of %v points below %v the condition could never clear", f.Margin, f.Share)
		}
	}
	if c.MaxAge != nil {
		switch {
		case c.MaxAge.Age < 0:
			p.Errorf("max_age", "write 90d, or remove it", "%s is negative", c.MaxAge.Age)
		case c.MaxAge.Age == 0:
			p.Warnf("max_age", "write 90d, or remove it",
				"every release is older than %s: a retrain would always be due", c.MaxAge.Age)
		}
	}
	if c.When != nil && c.When.Expression == "" && c.When.For != 0 {
		p.Errorf("when", "add expression: drop > 0.02, or remove it", "no expression")
	}
	if c.When != nil && c.When.Expression != "" {
		if _, err := compileWhen(c.When.Expression); err != nil {
			p.Add("when", err)
		}
	}
	for key, d := range c.sustained() {
		notNegative(&p, key+".for", d)
	}
	slices.SortStableFunc(p, func(a, b check.Problem) int { // map iteration has no order
		switch {
		case a.Path < b.Path:
			return -1
		case a.Path > b.Path:
			return 1
		}
		return 0
	})
	return p
}

func (l Limits) validate() check.Problems {
	var p check.Problems
	notNegative(&p, "cooldown", l.Cooldown)
	if !l.Budget.IsZero() {
		isRate(&p, "budget", l.Budget, "write 3 per 7d; to stop retraining for a while use retraind pause")
	}
	notNegative(&p, "reserve", l.Reserve)
	if l.Breaker < 0 {
		p.Errorf("breaker", "write 3, or 0 for none", "%d runs are impossible", l.Breaker)
	}
	if s := l.SuspiciousLabels; s != "" && s != SuspiciousHold && s != SuspiciousIgnore {
		p.Errorf("suspicious_labels", "write hold or ignore", "unknown value %q", l.SuspiciousLabels)
	}
	return p
}

func notNegative(p *check.Problems, path string, d unit.Duration) {
	if d < 0 {
		p.Errorf(path, "write a duration without a sign", "%s is negative", d)
	}
}

func isShare(p *check.Problems, path string, s unit.Percent) {
	if !(s >= 0 && s <= 1) {
		p.Errorf(path, "write 85% or 0.85", "%v is not a share", float64(s))
	}
}

func isPoints(p *check.Problems, path string, v unit.Points) {
	if !(v >= 0 && v <= 100) {
		p.Errorf(path, "write 3", "%v is not a number of points", float64(v))
	}
}

func isRate(p *check.Problems, path string, r unit.Rate, hint string) {
	switch {
	case r.Count < 0 || r.Per < 0:
		p.Errorf(path, hint, "%s is negative", r)
	case r.Count == 0 || r.Per == 0:
		p.Errorf(path, hint, "%q never allows a run", r.String())
	}
}
