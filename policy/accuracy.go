package policy

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
)

type accuracyBelow struct{ bound float64 }

func (a accuracyBelow) judge(r *drift.Report, _ time.Time, c *Condition) {
	c.settle(r.Accuracy, a.bound, false, r.Accuracy < a.bound, true)
}

func (a accuracyBelow) explain(r *drift.Report, _ time.Time, c *Condition) string {
	c.missing(func() int {
		return fewest(float64(r.Correct)-a.bound*float64(r.Scored), r.Correct, func(k int) bool {
			return float64(r.Correct-k)/float64(r.Scored) < a.bound
		})
	})
	return "accuracy is " + text.Percent(r.Accuracy) +
		choose(c.Tripped, ", below ", ", not below ") + text.Percent(a.bound) + own(r)
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

func (a accuracyDrop) explain(r *drift.Report, _ time.Time, c *Condition) string {
	if r.Baseline == nil {
		c.Labels = -1
		return "the accuracy at the promotion is unknown"
	}
	c.missing(func() int { return a.missing(r) })
	switch {
	case c.Tripped && r.Drop < a.points:
		return "the error rate of new items is at least " + text.Points(r.NewItems.Drop) +
			" higher than at the promotion" + threshold(text.Points(a.points)) + ": " +
			evidenceText(evidenceArrivals, r) + own(r)
	case c.Tripped:
		kind, _ := evidence(r, a.points, 0)
		return "accuracy fell by " + text.Points(r.Drop) + threshold(text.Points(a.points)) + ": " +
			evidenceText(kind, r) + own(r)
	case c.Breached:
		return "accuracy fell by " + text.Points(r.Drop) + threshold(text.Points(a.points)) +
			", but this may be chance: no test found enough evidence" + own(r)
	}
	return change("accuracy", r.Drop) + threshold(text.Points(a.points)) + own(r)
}

// missing returns how many more corrections that make a right answer wrong would trip the condition, or -1 if no number
// of them suffices.
func (a accuracyDrop) missing(r *drift.Report) int {
	enough := r.Baseline.Accuracy - a.points/100
	k := fewest(float64(r.Correct)-enough*float64(r.Scored), r.Correct, func(k int) bool {
		drop := (r.Baseline.Accuracy - float64(r.Correct-k)/float64(r.Scored)) * 100
		return drop >= a.points && drop > 0
	})
	if k < 0 {
		return -1
	}
	low, high := k-1, k // low is too few; high grows in doubling steps, because the result is usually near k
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

func (m macroF1Drop) explain(r *drift.Report, _ time.Time, c *Condition) string {
	c.missing(nil)
	if r.Baseline == nil {
		return "the macro-F1 at the promotion is unknown"
	}
	return change("macro-F1", r.MacroF1Drop) + threshold(text.Points(m.points)) + own(r)
}

// recallBelow judges the recall of one category, or of the worst among all categories that have no separate floor.
type recallBelow struct {
	bound float64
	min   int
	only  string
	but   []string // categories that are left out because they have separate floors; sorted
}

// find looks at the categories with enough items: `worst` is the one with the lowest recall, `below` is how many of
// them are below the floor. If none of them is below it, `small` is, among the categories with too few items, the one
// with the lowest recall below the floor.
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

func (a recallBelow) explain(r *drift.Report, _ time.Time, c *Condition) string {
	worst, small, below := a.find(r)
	switch {
	case small != nil:
		c.missing(nil)
		return "recall of " + label(small.Name) + " is " + text.Percent(small.Recall) + ", but only " +
			strconv.Itoa(small.Support) + " of " + strconv.Itoa(a.min) + " required held-out items have it" + own(r)
	case worst != nil:
		c.missing(func() int { return a.missing(worst) })
		out := "recall of " + label(worst.Name) + " is " + text.Percent(worst.Recall) + " of " + text.Plural(worst.Support, "item") +
			choose(c.Tripped, ", below ", ", not below ") + text.Percent(a.bound)
		if below > 1 {
			out += ", as is that of " + choose(below == 2, "another category", strconv.Itoa(below-1)+" other categories")
		}
		return out + own(r)
	case a.only != "":
		c.Labels = -1
		return "no held-out item is labelled " + label(a.only) + own(r)
	}
	c.Labels = -1
	return "no category has enough held-out items" + own(r)
}

// missing returns the least number of label changes that would lower the recall below the bound. Such a change adds a
// wrongly answered item to the category, or moves a rightly answered one to another category.
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
