package policy

import (
	"math"
	"strconv"

	"github.com/retraind/retraind/drift"
)

// The levels at which a drop counts as more than chance. They are spent per decision, not per report, so they are small:
// with held-out items that are looked at again and again, a test at 5% trips in most weeks in which nothing happened.
const (
	signLevel   = 0.05 // the relabel stream: each correction counts once, whoever looks how often
	signPairs   = 10   // corrections below which the sign test is not asked
	scoreLevel  = 0.001
	scoreErrors = 10 // wrong answers, old and new together, below which the normal approximation is not good enough
)

// evidence says whether a drop is more than chance, by any of three tests that each suffice:
//
//   - corrections of held-out labels since the promotion, by the exact one-sided sign test: with b answers made wrong
//     and c made right, P(Bin(b+c, 1/2) >= b) (Dixon and Mood 1946);
//   - newly arrived items, by the e-CUSUM that drift keeps within the false retrains that the policy allows;
//   - accuracy then and now as two samples, by the one-sided score test with the pooled variance (Agresti, Categorical
//     Data Analysis, 3rd ed., section 3.2.4): z = (p0-p1) / sqrt(p(1-p)(1/n0+1/n1)) with Yates' correction. The two
//     samples mostly share their items, which makes the test too careful, not too bold.
//
// wrong is a number of further corrections from right to wrong, for the question how many would suffice.
func evidence(r *drift.Report, wrong int) (kind string, ok bool) {
	b, c := r.Relabels.RightToWrong+wrong, r.Relabels.WrongToRight
	if b+c >= signPairs && b > c {
		p := r.Relabels.P
		if wrong > 0 {
			p = drift.SignTest(b, c)
		}
		if p <= signLevel {
			return "sign", true
		}
	}
	if r.NewItems.Alarmed {
		return "arrivals", true
	}
	if scoreTest(r.Baseline.Correct, r.Baseline.N, r.Correct-wrong, r.Scored) <= scoreLevel {
		return "score", true
	}
	return "", false
}

// scoreTest is the one-sided p-value that the second share of correct answers is not below the first.
func scoreTest(correct0, n0, correct1, n1 int) float64 {
	errors := n0 - correct0 + n1 - correct1
	if n0 <= 0 || n1 <= 0 || errors < scoreErrors || correct0+correct1 <= 0 {
		return 1
	}
	a, b := float64(n0), float64(n1)
	pooled := float64(correct0+correct1) / (a + b)
	inverse := 1/a + 1/b
	difference := float64(correct0)/a - float64(correct1)/b - inverse/2
	if difference <= 0 {
		return 1
	}
	return math.Erfc(difference/math.Sqrt(2*pooled*(1-pooled)*inverse)) / 2
}

// evidenceText names the test that convinced.
func evidenceText(kind string, r *drift.Report) string {
	switch kind {
	case "sign":
		return strconv.Itoa(r.Relabels.RightToWrong) + " corrections made an answer wrong and " + strconv.Itoa(r.Relabels.WrongToRight) + " made one right"
	case "arrivals":
		return strconv.Itoa(r.NewItems.Errors) + " of " + strconv.Itoa(r.NewItems.N) + " new items are wrong"
	case "score":
		return strconv.Itoa(r.Correct) + " of " + strconv.Itoa(r.Scored) + " right now, " + strconv.Itoa(r.Baseline.Correct) + " of " + strconv.Itoa(r.Baseline.N) + " at the promotion"
	}
	return ""
}
