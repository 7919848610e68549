package policy

import (
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

// evidence says whether a drop is more than chance, by any of three tests that each suffice:
//
//   - corrections of held-out labels since the promotion, by the exact one-sided sign test: with b answers made wrong
//     and c made right, P(Bin(b+c, 1/2) >= b) (Dixon and Mood 1946), and by stats.SignE, which holds although somebody
//     looks after each of them;
//   - newly arrived items, by the e-CUSUM that drift keeps within the false retrains that the policy allows, or by the
//     test that the policy names instead;
//   - accuracy then and now as two samples, by stats.ScoreTest. The two samples mostly share their items, which makes the
//     test too careful, not too bold.
//
// wrong is a number of further corrections from right to wrong, for the question how many would suffice. Of these the sign
// test is not asked: SignE rises with b and is 1 on average, so that where it reaches 1/level, P(Bin(b+c, 1/2) >= b) is at
// most level (Markov's inequality).
func evidence(r *drift.Report, least float64, wrong int) (kind string, ok bool) {
	b, c := r.Relabels.RightToWrong+wrong, r.Relabels.WrongToRight
	if b+c >= signPairs && b > c && (wrong > 0 || r.Relabels.P <= signLevel) && stats.SignE(b, c) >= 1/signLevel {
		return "sign", true
	}
	if arrived(r, least) {
		return "arrivals", true
	}
	if stats.ScoreTest(r.Baseline.Correct, r.Baseline.N, r.Correct-wrong, r.Scored) <= scoreLevel {
		return "score", true
	}
	return "", false
}

// own says where the figures are not those of the labels as they stand.
func (s *sentences) own(r *drift.Report) {
	if r.People != nil {
		s.say(", not counting what retraind's own runs wrote")
	}
}

// arrived says whether the test of newly arrived items has tripped, with a rise of the error by so many points at least.
// Such a rise counts before the accuracy of all held-out items shows it: a hundred new items move that of ten thousand
// old ones by next to nothing.
func arrived(r *drift.Report, least float64) bool {
	return r.NewItems.Alarmed && r.NewItems.Drop >= least
}

// evidence names the test that convinced.
func (s *sentences) evidence(kind string, r *drift.Report) {
	switch kind {
	case "sign":
		s.count(r.Relabels.RightToWrong).say(" corrections made an answer wrong and ").count(r.Relabels.WrongToRight).say(" made one right")
	case "arrivals":
		n := &r.NewItems
		s.count(n.Errors).say(" of ").count(n.N).say(" new items are wrong")
		if n.Since.N > 0 && n.Since.N < n.N {
			s.say(", ").count(n.Since.Errs).say(" of the last ").count(n.Since.N)
		}
	case "score":
		s.count(r.Correct).say(" of ").count(r.Scored).say(" right now, ").count(r.Baseline.Correct).say(" of ").count(r.Baseline.N).say(" at the promotion")
	}
}
