package policy

import (
	"math"
	"time"

	"github.com/retraind/retraind/drift"
)

// recallDrop judges the categories' tests of newly arriving items.
type recallDrop struct{ points float64 }

func (a recallDrop) judge(r *drift.Report, _ time.Time, c *Condition) {
	worst := a.worst(r)
	if worst == nil {
		c.unknown(a.points)
		return
	}
	fall := 0.0 // one missed item is a fall by any number of points: it counts from where the test suspects something
	if a.tripped(worst) || suspected(worst) {
		fall = worst.Drop
	}
	c.settle(fall, a.points, true, fall >= a.points && fall > 0, a.tripped(worst))
}

// suspected says whether half of the evidence is there, on the logarithmic scale on which evidence grows.
func suspected(c *drift.NewInCategory) bool { return c.Bound > 0 && c.E >= math.Sqrt(c.Bound) }

func (a recallDrop) tell(r *drift.Report, _ time.Time, c *Condition, s *sentences) {
	c.missing(nil)
	worst := a.worst(r)
	switch {
	case worst == nil:
		s.say("no category had enough held-out items at the promotion")
	case worst.N == 0:
		s.say("no new item of a tested category has arrived since the promotion")
	case a.tripped(worst):
		s.say("recall of ", label(worst.Name), " fell by ").points(worst.Drop).say(" among new items, at least ").points(a.points).say(": ").missed(worst)
	case c.Breached:
		s.say("recall of ", label(worst.Name), " may have fallen by ").points(worst.Drop).say(" among new items, but that is too little evidence: ").missed(worst)
	default:
		s.say("no category is recognised less often among new items; ", label(worst.Name), " is nearest, ").missed(worst)
	}
}

func (s *sentences) missed(c *drift.NewInCategory) {
	s.count(c.Errors).say(" of ").count(c.N).say(" were missed")
}

func (a recallDrop) tripped(c *drift.NewInCategory) bool { return c.Alarmed && c.Drop >= a.points }

// worst is the category that speaks most for a fall, one that tripped before all others; nil where none is tested.
func (a recallDrop) worst(r *drift.Report) *drift.NewInCategory {
	var worst *drift.NewInCategory
	for i := range r.NewItems.Category {
		c := &r.NewItems.Category[i]
		if worst == nil || a.tripped(c) && !a.tripped(worst) || a.tripped(c) == a.tripped(worst) && c.E > worst.E {
			worst = c
		}
	}
	return worst
}
