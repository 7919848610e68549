package policy

import (
	"strconv"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

// The levels at which a drop counts as more than chance. They are spent per decision, not per report, so they are small:
// with held-out items that are looked at again and again, a test at 5% trips in most weeks in which nothing happened.
const (
	signLevel  = 0.05 // of the corrections since one promotion, however often they are looked at
	signPairs  = 10   // corrections below which the sign test is not asked
	scoreLevel = 0.001
)

// ScoreLevel is the level at which the accuracy over the whole held-out set counts as fallen.
const ScoreLevel = scoreLevel

// evidenceKind is a test that can show a drop to be more than chance.
type evidenceKind int

const (
	evidenceSign     evidenceKind = iota + 1 // corrections of held-out labels
	evidenceArrivals                         // newly arrived items
	evidenceScore                            // accuracy then and now
)

// evidence says whether a drop is more than chance, by any of three tests that each suffice:
//
//   - corrections of held-out labels since the promotion, by the exact one-sided sign test: with b answers made wrong
//     and c made right, P(Bin(b+c, 1/2) >= b) (Dixon and Mood 1946), and by stats.SignE, which holds although somebody
//     looks after each of them;
//   - newly arrived items, by the e-CUSUM that drift keeps within the false retrains that the policy allows;
//   - accuracy then and now as two samples, by stats.ScoreTest. The two samples mostly share their items, which makes the
//     test too careful, not too bold.
//
// wrong is a number of further corrections from right to wrong, for the question how many would suffice. Of these the sign
// test is not asked: SignE rises with b and is 1 on average, so that where it reaches 1/level, P(Bin(b+c, 1/2) >= b) is at
// most level (Markov's inequality).
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

// own says where the figures are not those of the labels as they stand.
func own(r *drift.Report) string {
	if r.People != nil {
		return ", not counting what retraind's own runs wrote"
	}
	return ""
}

// arrived says whether the test of newly arrived items has tripped, with a rise of the error by so many points at least.
// Such a rise counts before the accuracy of all held-out items shows it: a hundred new items move that of ten thousand
// old ones by next to nothing.
func arrived(r *drift.Report, least float64) bool {
	return r.NewItems.Alarmed && r.NewItems.Drop >= least
}

// evidenceText gives the figures of the test that convinced.
func evidenceText(kind evidenceKind, r *drift.Report) string {
	switch kind {
	case evidenceSign:
		return strconv.Itoa(r.Relabels.RightToWrong) + " corrections made an answer wrong and " +
			strconv.Itoa(r.Relabels.WrongToRight) + " made one right"
	case evidenceArrivals:
		n := &r.NewItems
		out := strconv.Itoa(n.Errors) + " of " + strconv.Itoa(n.N) + " new items are wrong"
		if n.Since.N > 0 && n.Since.N < n.N {
			out += ", " + strconv.Itoa(n.Since.Errs) + " of the last " + strconv.Itoa(n.Since.N)
		}
		return out
	case evidenceScore:
		return strconv.Itoa(r.Correct) + " of " + strconv.Itoa(r.Scored) + " right now, " +
			strconv.Itoa(r.Baseline.Correct) + " of " + strconv.Itoa(r.Baseline.N) + " at the promotion"
	}
	return ""
}

// ownChanges says that labels enough for a retrain have changed, were it not for those that retraind's own runs wrote:
// a relabelling must never cause the next one.
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
		strconv.Itoa(r.Labels.Own) + " of them were written by retraind's own runs, which never count"
}
