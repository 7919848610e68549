package drift

import (
	"math"
	"slices"
)

// Decomposition splits a change of accuracy since the baseline by its causes. Let w be the share of a category among
// the held-out items and r the category's recall; 0 marks the baseline and 1 the present. Accuracy is the sum of w r,
// and the drop splits into two sums (Kitagawa 1955). In the first sum the baseline's accuracy A is subtracted from the
// mean recalls; that does not change the sum, because the shares add up to 1 in the baseline and now:
//
//	drop = sum (w0-w1) ((r0+r1)/2 - A) + sum (r0-r1) (w0+w1)/2
//
// The first sum is Mix: hard categories became more common, or easy ones rarer. The second sum is Recall. A category
// that exists only now or only in the baseline has no second recall to compare with. Its whole contribution counts as
// New if it is new, w1 (A-r1), and as Mix if it disappeared, w0 (r0-A). All figures are points, and the sum of Mix,
// Recall and New is Drop.
type Decomposition struct {
	Drop   float64 `json:"drop"`
	Mix    float64 `json:"mix"`
	Recall float64 `json:"recall"`
	New    float64 `json:"new"`

	Category []CategoryShift `json:"categories"` // largest contribution first
}

// CategoryShift compares one category at the baseline and at present. Shares and recalls are fractions; contributions
// to the drop are points.
type CategoryShift struct {
	Name       string  `json:"name"`
	ShareThen  float64 `json:"share_then"`
	ShareNow   float64 `json:"share_now"`
	RecallThen float64 `json:"recall_then"` // 0 if the category did not exist
	RecallNow  float64 `json:"recall_now"`
	Mix        float64 `json:"mix"`
	Recall     float64 `json:"recall"`
	New        float64 `json:"new,omitempty"` // contribution of a category that did not exist at the promotion
}

// Total returns the category's contribution to the drop, in points.
func (c CategoryShift) Total() float64 { return c.Mix + c.Recall + c.New }

// Decompose splits the drop since the baseline by its causes. It returns nil if there is no baseline or no item, or if
// the items of the categories do not add up to all items: because the target's items have several categories or none,
// or because the baseline has no figures by category.
func Decompose(base *Baseline, r Report) *Decomposition {
	if base == nil || base.N <= 0 || r.Scored <= 0 {
		return nil
	}
	then, now := 0, 0
	for _, c := range base.Category {
		then += c.N
	}
	present := map[string]Category{}
	for _, c := range r.Category {
		now += c.Support
		present[c.Name] = c
	}
	if then != base.N || now != r.Scored {
		return nil
	}
	names := make([]string, 0, len(present))
	for name := range base.Category {
		names = append(names, name)
	}
	for name := range present {
		if _, ok := base.Category[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := &Decomposition{}
	accuracy := float64(base.Correct) / float64(base.N)
	for _, name := range names {
		was, is := base.Category[name], present[name]
		if was.N == 0 && is.Support == 0 {
			continue // occurs only as an answer
		}
		s := CategoryShift{
			Name: name, ShareThen: share(was.N, base.N), ShareNow: share(is.Support, r.Scored),
			RecallThen: share(was.N-was.Errs, was.N), RecallNow: share(is.Correct, is.Support),
		}
		switch {
		case was.N == 0:
			s.New = 100 * s.ShareNow * (accuracy - s.RecallNow)
		case is.Support == 0:
			s.Mix = 100 * s.ShareThen * (s.RecallThen - accuracy)
		default:
			s.Mix = 100 * (s.ShareThen - s.ShareNow) * ((s.RecallThen+s.RecallNow)/2 - accuracy)
			s.Recall = 100 * (s.RecallThen - s.RecallNow) * (s.ShareThen + s.ShareNow) / 2
		}
		out.Mix, out.Recall, out.New = out.Mix+s.Mix, out.Recall+s.Recall, out.New+s.New
		out.Category = append(out.Category, s)
	}
	out.Drop = out.Mix + out.Recall + out.New
	slices.SortStableFunc(out.Category, func(a, b CategoryShift) int {
		switch x, y := math.Abs(a.Total()), math.Abs(b.Total()); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return out
}
