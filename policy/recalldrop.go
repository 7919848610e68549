package policy

import (
	"math"
	"strconv"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

// recallDrop judges the tests of newly arriving items, one test for each category.
type recallDrop struct{ points float64 }

func (a recallDrop) judge(r *drift.Report, _ time.Time, c *Condition) {
	worst := a.worst(r)
	if worst == nil {
		c.unknown(a.points)
		return
	}
	fall := 0.0 // even one missed item lowers the recall by some points, so a fall is shown only with some evidence
	switch {
	case a.tripped(worst):
		fall = worst.Drop
	case suspected(worst):
		fall = worst.Estimate
	}
	c.settle(fall, a.points, true, fall >= a.points && fall > 0, a.tripped(worst))
}

// suspected reports whether at least half of the required evidence, on a logarithmic scale, has accumulated.
func suspected(c *drift.NewInCategory) bool { return c.Bound > 0 && c.E >= math.Sqrt(c.Bound) }

func (a recallDrop) explain(r *drift.Report, _ time.Time, c *Condition) string {
	c.missing(nil)
	worst := a.worst(r)
	switch {
	case worst == nil:
		return "no category had enough held-out items at the promotion"
	case worst.N == 0:
		return "no new item of a tested category has arrived since the promotion"
	case a.tripped(worst):
		return "recall of " + label(worst.Name) + " fell by at least " + text.Points(worst.Drop) + " among new items" +
			threshold(text.Points(a.points)) + ": " + missed(worst)
	case c.Breached:
		return "recall of " + label(worst.Name) + " may have fallen by " + text.Points(worst.Estimate) +
			" among new items, but this may be chance: " + missed(worst)
	}
	return "no category's recall fell among new items; closest to a fall is " + label(worst.Name) + ": " + missed(worst)
}

func missed(c *drift.NewInCategory) string {
	return strconv.Itoa(c.Errors) + " of " + text.Plural(c.N, "item") + choose(c.N == 1, " was missed", " were missed")
}

func (a recallDrop) tripped(c *drift.NewInCategory) bool { return c.Alarmed && c.Drop >= a.points }

// worst returns the category with the most evidence for a fall, preferring tripped ones; nil if no category is tested.
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
