package policy

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/retraind/retraind/drift"
)

// condition is one compiled threshold. judge fills in everything but Name, Config and what settle derives.
type condition interface {
	judge(r *drift.Report, now time.Time, c *Condition)
}

type named struct {
	name, config string
	unit         Unit
	condition
}

// conditions compiles what is configured, in the order of the configuration's keys.
func (cfg *Conditions) conditions(under string) ([]named, error) {
	var list []named
	add := func(name string, unit Unit, c condition) {
		list = append(list, named{name, under + "." + name, unit, c})
	}
	if cfg.AccuracyBelow != nil {
		add("accuracy_below", UnitShare, accuracyBelow{cfg.AccuracyBelow.F()})
	}
	if cfg.AccuracyDrop != nil {
		add("accuracy_drop", UnitPoints, accuracyDrop{cfg.AccuracyDrop.Points.F()})
	}
	if cfg.MacroF1Drop != nil {
		add("macro_f1_drop", UnitPoints, macroF1Drop{cfg.MacroF1Drop.Points.F()})
	}
	if rc := cfg.CategoryRecallBelow; rc != nil {
		names := make([]string, 0, len(rc.Category))
		for name := range rc.Category {
			names = append(names, name)
		}
		slices.Sort(names)
		if rc.All != nil {
			add("category_recall_below.all", UnitShare, recallBelow{bound: rc.All.F(), min: rc.MinItems, but: names})
		}
		for _, name := range names {
			add("category_recall_below."+name, UnitShare, recallBelow{bound: rc.Category[name].F(), min: rc.MinItems, only: name})
		}
	}
	if cfg.LabelChanges != nil {
		c := labelChanges{atLeast: cfg.LabelChanges.AtLeast}
		unit := UnitLabels
		if cfg.LabelChanges.Share != nil {
			c.byShare, c.share, unit = true, cfg.LabelChanges.Share.F(), UnitShare
		}
		add("label_changes", unit, c)
	}
	if cfg.NewCategory != nil {
		add("new_category", UnitLabels, newCategory{cfg.NewCategory.Examples})
	}
	if cfg.LabelShift != nil {
		add("label_shift", UnitPSI, labelShift{cfg.LabelShift.PSI})
	}
	if cfg.MaxAge != nil {
		add("max_age", UnitHours, maxAge{cfg.MaxAge.D()})
	}
	if cfg.When != "" {
		program, err := compileWhen(cfg.When)
		if err != nil {
			return nil, err
		}
		add("when", UnitNone, &when{text: cfg.When, program: program})
	}
	return list, nil
}

// settle derives state and distance. high says that large values trip; convinced that a breach is evidence enough.
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
		c.State, c.Labels = StateFail, 0
	case breached:
		c.State = StateInconclusive
	default:
		c.State = StatePass
	}
}

// unknown says that there is nothing to judge.
func (c *Condition) unknown(bound float64, text string) {
	c.State, c.Bound, c.Labels, c.Text = StateInconclusive, bound, -1, text
}

type accuracyBelow struct{ bound float64 }

func (a accuracyBelow) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.Labels = fewest(float64(r.Correct)-a.bound*float64(r.Scored), r.Correct, func(k int) bool {
		return float64(r.Correct-k)/float64(r.Scored) < a.bound
	})
	c.settle(r.Accuracy, a.bound, false, r.Accuracy < a.bound, true)
	c.Text = "accuracy is " + share(r.Accuracy) + than(c.Tripped, ", below ", ", not below ") + share(a.bound)
}

type accuracyDrop struct{ points float64 }

func (a accuracyDrop) judge(r *drift.Report, _ time.Time, c *Condition) {
	if r.Baseline == nil {
		c.unknown(a.points, "nothing is known about the accuracy at the promotion")
		return
	}
	breached := r.Drop >= a.points && r.Drop > 0
	kind, convinced := "", false
	if breached {
		kind, convinced = evidence(r, 0)
	}
	if !breached || !convinced {
		c.Labels = a.missing(r)
	}
	c.settle(r.Drop, a.points, true, breached, convinced)
	switch {
	case convinced:
		c.Text = "accuracy fell by " + points(r.Drop) + ", at least " + points(a.points) + ": " + evidenceText(kind, r)
	case breached:
		c.Text = "accuracy fell by " + points(r.Drop) + ", but that is too little evidence: it may be chance"
	default:
		c.Text = change("accuracy", r.Drop) + ", less than " + points(a.points)
	}
}

// missing is how many more corrections from right to wrong would trip it.
func (a accuracyDrop) missing(r *drift.Report) int {
	enough := r.Baseline.Accuracy - a.points/100
	k := fewest(float64(r.Correct)-enough*float64(r.Scored), r.Correct, func(k int) bool {
		drop := (r.Baseline.Accuracy - float64(r.Correct-k)/float64(r.Scored)) * 100
		return drop >= a.points && drop > 0
	})
	if k < 0 {
		return -1
	}
	low, high := k-1, k // low is too few; high is tried, in growing steps, because the answer is mostly near k
	for step := 1; ; step *= 2 {
		if _, ok := evidence(r, high); ok {
			break
		}
		if high == r.Correct {
			return -1
		}
		low, high = high, min(high+step, r.Correct)
	}
	for high-low > 1 {
		middle := (low + high) / 2
		if _, ok := evidence(r, middle); ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

type macroF1Drop struct{ points float64 }

func (m macroF1Drop) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.Labels = -1
	if r.Baseline == nil {
		c.unknown(m.points, "nothing is known about the macro-F1 at the promotion")
		return
	}
	c.settle(r.MacroF1Drop, m.points, true, r.MacroF1Drop >= m.points && r.MacroF1Drop > 0, true)
	c.Text = change("macro-F1", r.MacroF1Drop) + than(c.Tripped, ", at least ", ", less than ") + points(m.points)
}

// recallBelow judges one category, or the worst of all that have no floor of their own.
type recallBelow struct {
	bound float64
	min   int
	only  string
	but   []string // sorted
}

func (a recallBelow) judge(r *drift.Report, _ time.Time, c *Condition) {
	var worst, small *drift.Category
	below := 0
	for i := range r.Category {
		k := &r.Category[i]
		if a.only != "" && k.Name != a.only || k.Support == 0 {
			continue
		}
		if _, own := slices.BinarySearch(a.but, k.Name); own {
			continue
		}
		if k.Support < a.min {
			if k.Recall < a.bound && (small == nil || k.Recall < small.Recall) {
				small = k
			}
			continue
		}
		if k.Recall < a.bound {
			below++
		}
		if worst == nil || k.Recall < worst.Recall {
			worst = k
		}
	}
	switch {
	case worst != nil && (below > 0 || small == nil):
		c.Labels = a.missing(worst)
		c.settle(worst.Recall, a.bound, false, worst.Recall < a.bound, true)
		c.Text = "recall of " + label(worst.Name) + " is " + share(worst.Recall) + " of " + strconv.Itoa(worst.Support) + than(c.Tripped, ", below ", ", not below ") + share(a.bound)
		if below > 1 {
			c.Text += ", and " + strconv.Itoa(below-1) + " more below"
		}
	case small != nil:
		c.Labels = -1
		c.settle(small.Recall, a.bound, false, true, false)
		c.Text = "recall of " + label(small.Name) + " is " + share(small.Recall) + ", but only " + strconv.Itoa(small.Support) + " of " + strconv.Itoa(a.min) + " held-out items have it"
	case a.only != "":
		c.unknown(a.bound, "no held-out item is labelled "+label(a.only))
	default:
		c.unknown(a.bound, "no category has enough held-out items")
	}
}

// missing is the least number of label corrections that push the recall below the bound: new items of the category
// that are answered wrongly, or right ones that move to another category.
func (a recallBelow) missing(k *drift.Category) int {
	correct, support := float64(k.Correct), float64(k.Support)
	if a.bound <= 0 {
		return -1
	}
	gained := int(math.Floor(correct/a.bound-support)) + 1
	for gained > 0 && correct/(support+float64(gained-1)) < a.bound {
		gained--
	}
	for correct/(support+float64(gained)) >= a.bound {
		gained++
	}
	lost := fewest((correct-a.bound*support)/max(1-a.bound, 1e-9), k.Correct, func(n int) bool {
		return n < k.Support && float64(k.Correct-n)/float64(k.Support-n) < a.bound
	})
	if lost >= 0 {
		return min(gained, lost)
	}
	return gained
}

type labelChanges struct {
	byShare bool
	share   float64
	atLeast int
}

func (l labelChanges) judge(r *drift.Report, _ time.Time, c *Condition) {
	changed, items := r.Labels.Changed, r.Labels.Items
	enough := changed >= l.atLeast
	if l.byShare {
		need := max(l.atLeast, int(math.Ceil(l.share*float64(items)-1e-9)))
		c.Labels = max(0, need-changed)
		enough = enough && r.Labels.Share >= l.share && changed > 0
		c.settle(r.Labels.Share, l.share, true, enough, true)
	} else {
		c.Labels = max(0, l.atLeast-changed)
		c.settle(float64(changed), float64(l.atLeast), true, enough, true)
	}
	c.Text = strconv.Itoa(changed) + " of " + strconv.Itoa(items) + " labels changed since the training"
	switch {
	case enough:
		c.Text += ", enough"
	case l.byShare && l.atLeast > 0:
		c.Text += "; " + share(l.share) + " and " + strconv.Itoa(l.atLeast) + " are wanted"
	case l.byShare:
		c.Text += "; " + share(l.share) + " are wanted"
	default:
		c.Text += "; " + strconv.Itoa(l.atLeast) + " are wanted"
	}
}

type newCategory struct{ examples int }

func (n newCategory) judge(r *drift.Report, _ time.Time, c *Condition) {
	name, most := "", 0
	for k, examples := range r.Labels.New {
		if examples > most || examples == most && k < name {
			name, most = k, examples
		}
	}
	c.Labels = max(0, n.examples-most)
	c.settle(float64(most), float64(n.examples), true, most >= n.examples, true)
	if most == 0 {
		c.Text = "no category is new"
		return
	}
	c.Text = "the new category " + label(name) + " has " + plural(most, "example") + than(c.Tripped, ", at least ", "; wanted are ") + strconv.Itoa(n.examples)
}

type labelShift struct{ psi float64 }

func (l labelShift) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.Labels = -1
	c.settle(r.Labels.PSI, l.psi, true, r.Labels.PSI >= l.psi, true)
	c.Text = "the mix of labels moved by a PSI of " + number(r.Labels.PSI, 3) + than(c.Tripped, ", at least ", ", less than ") + number(l.psi, -1)
}

type maxAge struct{ most time.Duration }

func (m maxAge) judge(r *drift.Report, now time.Time, c *Condition) {
	c.Labels = -1
	if r.Baseline == nil || r.Baseline.At.IsZero() {
		c.unknown(m.most.Hours(), "nothing is known about the time of the promotion")
		return
	}
	age := max(0, now.Sub(r.Baseline.At))
	c.settle(age.Hours(), m.most.Hours(), true, age >= m.most, true)
	c.Text = "the release is " + span(age) + " old" + than(c.Tripped, ", at least ", ", less than ") + span(m.most)
}

type when struct {
	text    string
	program *vm.Program
}

func (w *when) judge(r *drift.Report, now time.Time, c *Condition) {
	c.Labels = -1
	machine := vm.VM{MemoryBudget: 1000}
	out, err := machine.Run(w.program, numbersOf(r, now))
	answer, ok := out.(bool)
	if err != nil || !ok {
		c.unknown(1, "the expression could not be evaluated")
		return
	}
	value := 0.0
	if answer {
		value = 1
	}
	c.settle(value, 1, true, answer, true)
	c.Text = cutText(w.text) + than(answer, " is true", " is false")
}

// fewest is the smallest k in [0, most] for which reached holds, near an estimate of it; -1 where none is. reached
// stays true once it is.
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
