package policy

import (
	"math"
	"strconv"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

type labelChanges struct {
	byShare bool
	share   float64
	atLeast int
}

func (l labelChanges) judge(r *drift.Report, _ time.Time, c *Condition) {
	changed := r.Labels.Changed
	enough := changed >= l.atLeast && changed > 0
	if l.byShare {
		enough = enough && r.Labels.Share >= l.share
		c.settle(r.Labels.Share, l.share, true, enough, true)
		return
	}
	c.settle(float64(changed), float64(l.atLeast), true, enough, true)
}

func (l labelChanges) explain(r *drift.Report, _ time.Time, c *Condition) string {
	changed, items := r.Labels.Changed, r.Labels.Items
	c.missing(func() int {
		if l.byShare {
			return max(0, max(l.atLeast, 1, int(math.Ceil(l.share*float64(items)-1e-9)))-changed)
		}
		return max(0, max(l.atLeast, 1)-changed)
	})
	out := strconv.Itoa(changed) + " of " + strconv.Itoa(items) + " labels changed since the training"
	switch {
	case l.byShare && l.atLeast > 0:
		return out + threshold(text.Percent(l.share)+" and at least "+strconv.Itoa(l.atLeast))
	case l.byShare:
		return out + threshold(text.Percent(l.share))
	}
	return out + threshold(strconv.Itoa(l.atLeast))
}

type newCategory struct{ examples int }

// most returns the new category with the most examples.
func (n newCategory) most(r *drift.Report) (name string, most int) {
	for k, examples := range r.Labels.New {
		if examples > most || examples == most && k < name {
			name, most = k, examples
		}
	}
	return name, most
}

func (n newCategory) judge(r *drift.Report, _ time.Time, c *Condition) {
	_, most := n.most(r)
	c.settle(float64(most), float64(n.examples), true, most >= n.examples && most > 0, true)
}

func (n newCategory) explain(r *drift.Report, _ time.Time, c *Condition) string {
	name, most := n.most(r)
	c.missing(func() int { return max(0, max(n.examples, 1)-most) })
	if most == 0 {
		return "there is no new category"
	}
	return "the new category " + label(name) + " has " + text.Plural(most, "training example") + threshold(strconv.Itoa(n.examples))
}

type labelShift struct{ psi float64 }

func (l labelShift) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.settle(r.Labels.PSI, l.psi, true, r.Labels.PSI >= l.psi && r.Labels.PSI > 0, true)
}

func (l labelShift) explain(r *drift.Report, _ time.Time, c *Condition) string {
	c.missing(nil)
	return "the mix of labels shifted by PSI " + number(r.Labels.PSI, 3) + threshold(number(l.psi, -1))
}

type maxAge struct {
	most  time.Duration
	hours float64
}

func (m maxAge) judge(r *drift.Report, now time.Time, c *Condition) {
	if r.Baseline == nil || r.Baseline.At.IsZero() {
		c.unknown(m.hours)
		return
	}
	age := max(0, now.Sub(r.Baseline.At))
	c.settle(age.Hours(), m.hours, true, age >= m.most, true)
}

func (m maxAge) explain(r *drift.Report, now time.Time, c *Condition) string {
	c.missing(nil)
	if r.Baseline == nil || r.Baseline.At.IsZero() {
		return "the time of the promotion is unknown"
	}
	age := max(0, now.Sub(r.Baseline.At))
	return "the release is " + text.Span(age) + " old" + threshold(text.Span(m.most))
}

type when struct {
	text    string
	program *vm.Program
}

func (w *when) judge(r *drift.Report, now time.Time, c *Condition) {
	machine := vm.VM{MemoryBudget: 1000}
	out, err := machine.Run(w.program, numbersOf(r, now))
	answer, ok := out.(bool)
	if err != nil || !ok {
		c.unknown(1)
		return
	}
	value := 0.0
	if answer {
		value = 1
	}
	c.settle(value, 1, true, answer, true)
}

func (w *when) explain(_ *drift.Report, _ time.Time, c *Condition) string {
	c.missing(nil)
	if c.State == StateInconclusive && !c.Breached {
		return "the expression could not be evaluated"
	}
	return cutText(w.text) + choose(c.Breached, " is true", " is false")
}
