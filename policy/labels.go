package policy

import (
	"math"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/retraind/retraind/drift"
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

func (l labelChanges) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	changed, items := r.Labels.Changed, r.Labels.Items
	c.missing(func() int {
		if l.byShare {
			return max(0, max(l.atLeast, 1, int(math.Ceil(l.share*float64(items)-1e-9)))-changed)
		}
		return max(0, max(l.atLeast, 1)-changed)
	})
	s.count(changed).say(" of ").count(items).say(" labels changed since the training")
	switch {
	case c.Breached:
		s.say(", enough")
	case l.byShare && l.atLeast > 0:
		s.say("; ").share(l.share).say(" and ").count(l.atLeast).say(" are wanted")
	case l.byShare:
		s.say("; ").share(l.share).say(" are wanted")
	default:
		s.say("; ").count(l.atLeast).say(" are wanted")
	}
}

type newCategory struct{ examples int }

// most is the new category with the most examples.
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

func (n newCategory) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	name, most := n.most(r)
	c.missing(func() int { return max(0, max(n.examples, 1)-most) })
	if most == 0 {
		s.say("no category is new")
		return
	}
	s.say("the new category ", label(name), " has ").plural(most, "example").say(than(c.Tripped, ", at least ", "; wanted are ")).count(n.examples)
}

type labelShift struct{ psi float64 }

func (l labelShift) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.settle(r.Labels.PSI, l.psi, true, r.Labels.PSI >= l.psi && r.Labels.PSI > 0, true)
}

func (l labelShift) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	c.missing(nil)
	s.say("the mix of labels moved by a PSI of ").number(r.Labels.PSI, 3).say(than(c.Tripped, ", at least ", ", less than ")).number(l.psi, -1)
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

func (m maxAge) tell(r *drift.Report, now time.Time, c *Condition, s *sentences) {
	c.missing(nil)
	if r.Baseline == nil || r.Baseline.At.IsZero() {
		s.say("nothing is known about the time of the promotion")
		return
	}
	age := max(0, now.Sub(r.Baseline.At))
	s.say("the release is ").span(age).say(" old", than(c.Tripped, ", at least ", ", less than ")).span(m.most)
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

func (w *when) tell(_ *drift.Report, _ time.Time, c *Condition, s *sentences) {
	c.missing(nil)
	if c.State == StateInconclusive && !c.Breached {
		s.say("the expression could not be evaluated")
		return
	}
	s.say(cutText(w.text), than(c.Breached, " is true", " is false"))
}
