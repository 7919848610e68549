package main

import (
	"math"

	"github.com/retraind/retraind/policy/simulate"
)

// window is the number of newest items that the rules without memory use.
const window = 200

// newest counts the errors among the newest items.
type newest struct {
	ring  [window]bool
	n     int
	wrong int
}

func (w *newest) add(wrong bool) {
	i := w.n % window
	if w.n >= window && w.ring[i] {
		w.wrong--
	}
	w.ring[i] = wrong
	if wrong {
		w.wrong++
	}
	w.n++
}

// pointRule returns the naive rule: it trips if the accuracy of the newest items is below that at the promotion by more
// than `drop`, a fraction.
func pointRule(drop float64) func() simulate.Rule {
	return func() simulate.Rule {
		w := &newest{}
		return func(s *simulate.Stream, wrong bool) bool {
			w.add(wrong)
			if w.n < window {
				return false
			}
			return s.Promised()-(1-float64(w.wrong)/window) > drop
		}
	}
}

// zRule returns the two-proportion z-test of the newest items against the promotion, at p < 0.05, evaluated after each
// label.
func zRule() simulate.Rule {
	w := &newest{}
	return func(s *simulate.Stream, wrong bool) bool {
		w.add(wrong)
		if w.n < window {
			return false
		}
		correct, n := s.Baseline()
		then, now := float64(correct)/float64(n), 1-float64(w.wrong)/window
		pooled := (float64(correct) + float64(window-w.wrong)) / float64(n+window)
		se := math.Sqrt(pooled * (1 - pooled) * (1/float64(n) + 1./window))
		return se > 0 && (then-now)/se > 1.6448536269514722
	}
}

// sequential is a published drift test: it takes one observation, in commit order, and reports whether it alarms.
type sequential interface {
	add(isError bool) (alarm bool)
}

// sequentialRule turns a published drift test into a rule.
func sequentialRule(begin func() sequential) func() simulate.Rule {
	return func() simulate.Rule {
		test := begin()
		return func(_ *simulate.Stream, wrong bool) bool { return test.add(wrong) }
	}
}

// rule is one of the rules that the table of detections compares.
type rule struct {
	name string
	make func() simulate.Rule
}

func rules() []rule {
	return []rule{
		{"retraind, `accuracy_drop`", func() simulate.Rule { return simulate.Policy }},
		{"newest 200, drop > 2 points", pointRule(.02)},
		{"newest 200, z-test p < 0.05", zRule},
		{"DDM", sequentialRule(func() sequential { return &ddm{} })},
		{"ADWIN, one-sided", sequentialRule(func() sequential { return &adwin{} })},
		{"Page-Hinkley", sequentialRule(func() sequential { return &pageHinkley{} })},
	}
}
