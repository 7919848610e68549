package actions

import (
	"fmt"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// perTarget compares candidate and champion in each target that does not gate, over the items that have a label for the
// target and an answer of both.
func perTarget(targets []serving.Target, items []drift.LabelChange, candidate, champion answers) []TargetFacts {
	var out []TargetFacts
	for _, target := range targets {
		f := TargetFacts{Name: target.Name}
		mine, theirs := 0, 0
		for _, it := range items {
			key := [2]string{it.Item, it.TextHash}
			label, labelled := it.New[target.Name]
			a, ok := candidate[key].Answers[target.Name]
			b, known := champion[key].Answers[target.Name]
			if !labelled || !ok || !known {
				continue
			}
			f.N++
			right, wasRight := a == label, b == label
			if right {
				mine++
			}
			if wasRight {
				theirs++
			}
			switch {
			case right && !wasRight:
				f.Wins++
			case !right && wasRight:
				f.Losses++
			}
		}
		f.Candidate = share(mine, f.N)
		was := share(theirs, f.N)
		f.Champion = &was
		out = append(out, f)
	}
	return out
}

// share returns the score for a number of right answers to n items, without macro-F1.
func share(right, n int) Score {
	s := Score{Correct: right}
	if n > 0 {
		s.Accuracy = float64(right) / float64(n)
		s.Low, s.High = stats.Wilson(right, n)
	}
	return s
}

// judgeTargets checks the targets that do not gate, and fills in their margins and bounds. In a target with a configured
// margin the candidate must not be worse by more than that margin, with 95% confidence. In another target it must not
// lose more than category_floor points, unless chance explains the loss. name is the target that decided, if the class is
// not ok.
func judgeTargets(c PromoteConfig, targets []TargetFacts) (name string, class store.StepState, why string) {
	for i := range targets {
		f := &targets[i]
		floor, own := c.Targets[f.Name]
		f.Margin = float64(floor.Margin)
		if !own {
			f.Margin = float64(c.CategoryFloor)
		}
		if f.N == 0 || f.Wins+f.Losses == 0 {
			continue // nothing to compare, or equal on all items
		}
		ni := stats.NonInferior(f.Wins, f.Losses, f.N, f.Margin/100, gateAlpha)
		f.Bound = 100 * ni.Lower
		lost := 100 * float64(f.Losses-f.Wins) / float64(f.N)
		what := fmt.Sprintf("target %s: candidate %.1f%%, champion %.1f%% of %d items (only the candidate is right on %d, only the champion on %d)",
			f.Name, 100*f.Candidate.Accuracy, 100*f.Champion.Accuracy, f.N, f.Wins, f.Losses)
		switch beyond := stats.SignTest(f.Losses, f.Wins) < gateAlpha/float64(len(targets)); {
		case own && !ni.Pass && (beyond || f.Losses > f.Wins):
			return f.Name, store.StepRejected,
				fmt.Sprintf("%s would be worse: the difference may be as low as %+.1f points, -%g is allowed", what, f.Bound, f.Margin)
		case own && !ni.Pass:
			return f.Name, store.StepInconclusive,
				fmt.Sprintf("too little evidence on %s: the difference may be as low as %+.1f points, -%g is allowed", what, f.Bound,
					f.Margin)
		case !own && beyond && lost > f.Margin:
			return f.Name, store.StepRejected,
				fmt.Sprintf("%s would be worse by %.1f points; category_floor allows %g", what, lost, f.Margin)
		}
	}
	return "", store.StepOK, ""
}
