package policy

import (
	"math"
	"slices"
	"time"

	"github.com/retraind/retraind/drift"
)

type accuracyBelow struct{ bound float64 }

func (a accuracyBelow) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.settle(r.Accuracy, a.bound, false, r.Accuracy < a.bound, true)
}

func (a accuracyBelow) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	c.missing(func() int {
		return fewest(float64(r.Correct)-a.bound*float64(r.Scored), r.Correct, func(k int) bool {
			return float64(r.Correct-k)/float64(r.Scored) < a.bound
		})
	})
	s.say("accuracy is ").share(r.Accuracy).say(than(c.Tripped, ", below ", ", not below ")).share(a.bound)
	s.own(r)
}

type accuracyDrop struct{ points float64 }

func (a accuracyDrop) judge(r *drift.Report, _ time.Time, c *Condition) {
	if r.Baseline == nil {
		c.unknown(a.points)
		return
	}
	fell, rose := r.Drop >= a.points && r.Drop > 0, arrived(r, a.points)
	value := r.Drop
	if rose {
		value = max(value, r.NewItems.Drop)
	}
	convinced := rose
	if fell && !rose {
		_, convinced = evidence(r, a.points, 0)
	}
	c.settle(value, a.points, true, fell || rose, convinced)
}

func (a accuracyDrop) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	if r.Baseline == nil {
		c.Labels = -1
		s.say("nothing is known about the accuracy at the promotion")
		return
	}
	c.missing(func() int { return a.missing(r) })
	defer s.own(r)
	switch {
	case c.Tripped && r.Drop < a.points:
		s.say("newly arrived items are answered wrongly ").points(r.NewItems.Drop).say(" more often than at the promotion, at least ").points(a.points).say(": ").evidence("arrivals", r)
	case c.Tripped:
		kind, _ := evidence(r, a.points, 0)
		s.say("accuracy fell by ").points(r.Drop).say(", at least ").points(a.points).say(": ").evidence(kind, r)
	case c.Breached:
		s.say("accuracy fell by ").points(r.Drop).say(", but that is too little evidence: it may be chance")
	default:
		s.change("accuracy", r.Drop).say(", less than ").points(a.points)
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
		if _, ok := evidence(r, a.points, high); ok {
			break
		}
		if high == r.Correct {
			return -1
		}
		low, high = high, min(high+step, r.Correct)
	}
	for high-low > 1 {
		middle := (low + high) / 2
		if _, ok := evidence(r, a.points, middle); ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

type macroF1Drop struct{ points float64 }

func (m macroF1Drop) judge(r *drift.Report, _ time.Time, c *Condition) {
	if r.Baseline == nil {
		c.unknown(m.points)
		return
	}
	c.settle(r.MacroF1Drop, m.points, true, r.MacroF1Drop >= m.points && r.MacroF1Drop > 0, true)
}

func (m macroF1Drop) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	c.missing(nil)
	if r.Baseline == nil {
		s.say("nothing is known about the macro-F1 at the promotion")
		return
	}
	s.change("macro-F1", r.MacroF1Drop).say(than(c.Tripped, ", at least ", ", less than ")).points(m.points)
	s.own(r)
}

// recallBelow judges one category, or the worst of all that have no floor of their own.
type recallBelow struct {
	bound float64
	min   int
	only  string
	but   []string // sorted
}

// find is the worst category that has enough items, the worst of those below the floor that have too few, and how many
// with enough items are below it.
func (a recallBelow) find(r *drift.Report) (worst, small *drift.Category, below int) {
	for i := range r.Category {
		k := &r.Category[i]
		if a.only != "" && k.Name != a.only || k.Support == 0 {
			continue
		}
		if len(a.but) > 0 {
			if _, own := slices.BinarySearch(a.but, k.Name); own {
				continue
			}
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
	if worst != nil && (below > 0 || small == nil) {
		small = nil
	}
	return worst, small, below
}

func (a recallBelow) judge(r *drift.Report, _ time.Time, c *Condition) {
	switch worst, small, _ := a.find(r); {
	case small != nil:
		c.settle(small.Recall, a.bound, false, true, false)
	case worst != nil:
		c.settle(worst.Recall, a.bound, false, worst.Recall < a.bound, true)
	default:
		c.unknown(a.bound)
	}
}

func (a recallBelow) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	defer s.own(r)
	worst, small, below := a.find(r)
	switch {
	case small != nil:
		c.missing(nil)
		s.say("recall of ", label(small.Name), " is ").share(small.Recall).say(", but only ").count(small.Support).say(" of ").count(a.min).say(" held-out items have it")
	case worst != nil:
		c.missing(func() int { return a.missing(worst) })
		s.say("recall of ", label(worst.Name), " is ").share(worst.Recall).say(" of ").count(worst.Support).say(than(c.Tripped, ", below ", ", not below ")).share(a.bound)
		if below > 1 {
			s.say(", and ").count(below - 1).say(" more below")
		}
	case a.only != "":
		c.Labels = -1
		s.say("no held-out item is labelled ", label(a.only))
	default:
		c.Labels = -1
		s.say("no category has enough held-out items")
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
