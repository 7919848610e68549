package policy

import (
	"strconv"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

// The significance levels at which a drop counts as more than chance. The level of the score test is small because it
// tests the same held-out items again and again: at 5% it would trip in most weeks without any change.
const (
	signLevel  = 0.05 // of the corrections since one promotion, however often they are tested
	signPairs  = 10   // corrections below which the sign test is not used
	scoreLevel = 0.001
)

// ScoreLevel is the significance level at which the accuracy over the whole held-out set counts as fallen.
const ScoreLevel = scoreLevel

// evidenceKind names a test that can show that a drop is more than chance.
type evidenceKind int

const (
	evidenceSign     evidenceKind = iota + 1 // corrections of held-out labels
	evidenceArrivals                         // newly arrived items
	evidenceScore                            // accuracy at the promotion and now
)

// evidence reports whether a drop is more than chance. Any of three tests suffices:
//
//   - corrections of held-out labels since the promotion, by the exact one-sided sign test: with b answers made wrong
//     and c made right, P(Bin(b+c, 1/2) >= b) (Dixon and Mood 1946), and by stats.SignE, which stays valid when it is
//     evaluated after each correction;
//   - newly arrived items, by the e-CUSUM of package drift, which keeps the rate of false retrains that the policy
//     allows;
//   - the accuracies at the promotion and now as two samples, by stats.ScoreTest. Both samples contain mostly the same
//     items, which makes the test conservative.
//
// `least` is the smallest drop that matters, in points. `wrong` is a number of hypothetical further corrections from
// right to wrong, used to compute how many would suffice. If it is above 0, the sign test is not evaluated, because
// SignE implies it: SignE rises with b and has mean 1, so if it reaches 1/level, then P(Bin(b+c, 1/2) >= b) is at most
// level (Markov's inequality).
func evidence(r *drift.Report, least float64, wrong int) (kind evidenceKind, ok bool) {
	b, c := r.Relabels.RightToWrong+wrong, r.Relabels.WrongToRight
	if b+c >= signPairs && b > c && (wrong > 0 || r.Relabels.P <= signLevel) && stats.SignE(b, c) >= 1/signLevel {
		return evidenceSign, true
	}
	if arrived(r, least) {
		return evidenceArrivals, true
	}
	if stats.ScoreTest(r.Baseline.Correct, r.Baseline.N, r.Correct-wrong, r.Scored) <= scoreLevel {
		return evidenceScore, true
	}
	return 0, false
}

// own returns a note that labels written by retraind's own runs are not counted, or "" if there are none.
func own(r *drift.Report) string {
	if r.People != nil {
		return ", not counting labels written by retraind's own runs"
	}
	return ""
}

// arrived reports whether the test of newly arrived items has tripped and their error rate has risen by at least the
// given points. The test reacts before the accuracy over all held-out items does, because a hundred new items hardly
// change the accuracy over ten thousand old ones.
func arrived(r *drift.Report, least float64) bool {
	return r.NewItems.Alarmed && r.NewItems.Drop >= least
}

// evidenceText returns the figures of the test that tripped.
func evidenceText(kind evidenceKind, r *drift.Report) string {
	switch kind {
	case evidenceSign:
		return strconv.Itoa(r.Relabels.RightToWrong) + " corrections made a right answer wrong, " +
			strconv.Itoa(r.Relabels.WrongToRight) + " made a wrong answer right"
	case evidenceArrivals:
		n := &r.NewItems
		out := strconv.Itoa(n.Errors) + " of " + strconv.Itoa(n.N) + " new items are wrong"
		if n.Since.N > 0 && n.Since.N < n.N {
			out += ", " + strconv.Itoa(n.Since.Errs) + " of the last " + strconv.Itoa(n.Since.N)
		}
		return out
	case evidenceScore:
		return strconv.Itoa(r.Correct) + " of " + strconv.Itoa(r.Scored) + " are right now, " +
			strconv.Itoa(r.Baseline.Correct) + " of " + strconv.Itoa(r.Baseline.N) + " were at the promotion"
	}
	return ""
}

// ownChanges reports whether the condition label_changes would have tripped if labels written by retraind's own runs
// were counted too. They are not counted, because a run that relabels items must never cause the next retrain.
func (p *Policy) ownChanges(r *drift.Report) bool {
	if r.Labels.Own == 0 {
		return false
	}
	for _, cfg := range []*LabelChanges{p.config.RetrainWhen.LabelChanges, p.config.UrgentWhen.LabelChanges} {
		if cfg == nil {
			continue
		}
		all := r.Labels.Changed + r.Labels.Own
		if all >= cfg.AtLeast && (cfg.Share == nil || float64(all) >= cfg.Share.F()*float64(r.Labels.Items)) {
			return true
		}
	}
	return false
}

func ownText(r *drift.Report) string {
	return strconv.Itoa(r.Labels.Changed+r.Labels.Own) + " of " + strconv.Itoa(r.Labels.Items) +
		" labels changed since the training, but " +
		strconv.Itoa(r.Labels.Own) + " of them do not count, because retraind's own runs wrote them"
}
