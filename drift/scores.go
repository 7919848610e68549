package drift

import "math"

// tally counts the items that have one category as label, as answer, and as both.
type tally struct{ support, predicted, correct int }

// Scores are the figures of a confusion matrix, as defined by scikit-learn, except that an unusable answer is no
// category. Undefined figures are 0, never NaN.
type Scores struct {
	N, Correct int
	Accuracy   float64 // 0 without items
	Majority   float64 // share of the most frequent label
	MacroF1    float64 // mean F1 over categories that occur as label or answer; F1 is 0 if no answer is right
	Balanced   float64 // mean recall over categories that occur as label
	Kappa      float64 // Cohen; 0 if there is only one category
	MCC        float64 // Matthews, multi-class (Gorodkin); 0 if all labels or all answers are of one category
}

// scores computes every figure from the marginals and the number of correct answers; these suffice for kappa and MCC
// too. `exclusive` is false for sets, because one item has several categories: then kappa and MCC are undefined and
// stay 0.
func scores(rows []tally, n, correct int, exclusive bool) Scores {
	s := Scores{N: n, Correct: correct}
	if n == 0 {
		return s
	}
	nf := float64(n)
	s.Accuracy = float64(correct) / nf
	var f1, recall, agree, truth2, answer2 float64
	var seen, carried, most int
	for _, r := range rows {
		if r.support == 0 && r.predicted == 0 {
			continue
		}
		seen++
		f1 += r.f1()
		if r.support > 0 {
			carried++
			recall += r.recall()
			most = max(most, r.support)
		}
		agree += float64(r.support) * float64(r.predicted)
		truth2 += float64(r.support) * float64(r.support)
		answer2 += float64(r.predicted) * float64(r.predicted)
	}
	s.Majority = float64(most) / nf
	if seen > 0 {
		s.MacroF1 = f1 / float64(seen)
	}
	if carried > 0 {
		s.Balanced = recall / float64(carried)
	}
	if !exclusive {
		return s
	}
	if byChance := agree / (nf * nf); byChance < 1 {
		s.Kappa = (s.Accuracy - byChance) / (1 - byChance)
	}
	if spread := (nf*nf - truth2) * (nf*nf - answer2); spread > 0 {
		s.MCC = (float64(correct)*nf - agree) / math.Sqrt(spread)
	}
	return s
}

func (r tally) precision() float64 { return share(r.correct, r.predicted) }
func (r tally) recall() float64    { return share(r.correct, r.support) }
func (r tally) f1() float64        { return share(2*r.correct, r.support+r.predicted) }

// share returns `part` divided by `whole`, or 0 if `whole` is 0.
func share(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
