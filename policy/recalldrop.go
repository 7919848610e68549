package policy

import (
	"math"
	"strconv"
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

func (a recallDrop) tell(r *drift.Report, _ time.Time, c *Condition) {
	c.missing(nil)
	worst := a.worst(r)
	switch {
	case worst == nil:
		c.Text = "no category had enough held-out items at the promotion"
	case worst.N == 0:
		c.Text = "no new item of a tested category has arrived since the promotion"
	case a.tripped(worst):
		c.Text = "recall of " + label(worst.Name) + " fell by " + points(worst.Drop) + " among new items, at least " + points(a.points) + ": " +
			strconv.Itoa(worst.Errors) + " of " + strconv.Itoa(worst.N) + " were missed"
	case c.Breached:
		c.Text = "recall of " + label(worst.Name) + " may have fallen by " + points(worst.Drop) + " among new items, but that is too little evidence: " +
			strconv.Itoa(worst.Errors) + " of " + strconv.Itoa(worst.N) + " were missed"
	default:
		c.Text = "no category is recognised less often among new items; " + label(worst.Name) + " is nearest, " +
			strconv.Itoa(worst.Errors) + " of " + strconv.Itoa(worst.N) + " were missed"
	}
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
