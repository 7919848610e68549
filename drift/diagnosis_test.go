package drift_test

import (
	"math"
	"strings"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
)

func TestLearningCurve(t *testing.T) {
	t.Parallel()
	var points []drift.CurvePoint
	for _, n := range []int{400, 100, 800, 200} { // exactly 5 points more with each doubling
		points = append(points, drift.CurvePoint{Examples: n, Accuracy: .5 + .05*math.Log2(float64(n)/100), N: 300})
	}
	c := drift.NewLearningCurve(points, map[string]int{"few": 12, "many": 400}, []drift.Category{
		{Name: "few", Support: 10, Correct: 3, Recall: .3},
		{Name: "many", Support: 10, Correct: 3, Recall: .3},
		{Name: "answered", Predicted: 3},
	})
	if !c.Known || math.Abs(c.Gain-5) > 1e-9 || c.Error > 1e-6 || c.Points[0].Examples != 100 {
		t.Errorf("%+v", c)
	}
	if len(c.Rare) != 1 || c.Rare[0].Name != "few" || c.Rare[0].Examples != 12 {
		t.Errorf("rare: %+v", c.Rare)
	}
	for _, few := range [][]drift.CurvePoint{nil, points[:3], {points[0], points[0], points[0], points[0]}} {
		if c := drift.NewLearningCurve(few, nil, nil); c.Known {
			t.Errorf("%d points: %+v", len(few), c)
		}
	}
}

func TestDiagnosis(t *testing.T) {
	t.Parallel()
	quiet := drift.Diagnosis{Report: drift.Report{Labels: drift.Labels{
		PSI: .02,
		Chi: &stats.ChiSquare{Freedom: 2, P: .6},
	}}}
	quiet.Labels.Conclude()
	loud := drift.Diagnosis{
		Report: drift.Report{Labels: drift.Labels{
			PSI: .31, JS: .12, Chi: &stats.ChiSquare{Freedom: 3, P: 1e-9},
			New: map[string]int{"Netz": 40, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, Gone: map[string]int{"Post": 22},
		}},
		Text: drift.TextDrift{Compared: true, Then: 400, Now: 100, AUC: .83, Bound: .58, Drifted: true},
		Examples: drift.LearningCurve{
			Known: true, Gain: 3, Error: .5,
			Rare: []drift.Rare{{Name: "few", Examples: 12, Recall: .3, Support: 10}},
		},
		Labels: drift.Suspicion{Suspicious: true, Text: "somebody shuffled them"},
	}
	settled := quiet
	settled.Text = drift.TextDrift{Compared: true, Then: 400, Now: 100, AUC: .51}
	settled.Examples = drift.LearningCurve{Known: true, Gain: .2, Error: .5}
	alike := quiet // an earlier version answered, for five trainings, "4 are needed, there are 5"
	var five []drift.CurvePoint
	for i := range 5 {
		five = append(five, drift.CurvePoint{Examples: 2000 + 50*i, Accuracy: .8})
	}
	alike.Examples = drift.NewLearningCurve(append(five, drift.CurvePoint{Accuracy: .8}), nil, nil)
	unknown := drift.Diagnosis{}
	for _, c := range []struct {
		name string
		d    drift.Diagnosis
		want [3]string
	}{
		{"quiet", quiet, [3]string{
			"no the mix of labels is nearly the same as in the training data (PSI 0.02); too few new texts to compare (0 held out)",
			"no no item has been relabelled since the training",
			"unknown the learning curve is not known yet: it needs 4 trainings of different sizes and has 0",
		}},
		{"loud", loud, [3]string{
			"yes the mix of labels moved (PSI 0.31, Jensen-Shannon 0.12, chi-square p < 0.001); new categories: Netz (40 examples), a (1 example), b (1 example), c (1 example), d (1 example), 1 more; vanished categories: Post (22 training examples); new texts can be distinguished from old ones (AUC 0.83, 400 old and 100 new texts)",
			"yes somebody shuffled them",
			"yes only 12 examples of few to learn from, and 3 of its 10 held-out items are recognised; accuracy still rises by 3.0 points with each doubling of the examples (standard error 0.5)",
		}},
		{"settled", settled, [3]string{
			"no the mix of labels is nearly the same as in the training data (PSI 0.02); new texts look like old ones (AUC 0.51, 400 old and 100 new texts)",
			"no no item has been relabelled since the training",
			"no twice as many examples would bring +0.2 points (standard error 0.5)",
		}},
		{"alike", alike, [3]string{
			"no the mix of labels is nearly the same as in the training data (PSI 0.02); too few new texts to compare (0 held out)",
			"no no item has been relabelled since the training",
			"unknown the learning curve is not known yet: it needs trainings whose largest has 1.3 times the examples of the smallest; the 5 trainings so far have 2,000 to 2,200 examples",
		}},
		{"unknown", unknown, [3]string{
			"unknown the training data of the release is unknown", "no ",
			"unknown the learning curve is not known yet: it needs 4 trainings of different sizes and has 0",
		}},
	} {
		c.d.Conclude()
		for i, f := range c.d.Findings {
			if got := string(f.Answer) + " " + f.Text; got != c.want[i] || !strings.HasSuffix(f.Question, "?") {
				t.Errorf("%s: %s\n%s\nwant\n%s", c.name, f.Question, got, c.want[i])
			}
		}
	}
}
