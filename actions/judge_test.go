package actions

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

func promote(gate Gate) PromoteConfig { return PromoteConfig{Gate: gate}.WithDefaults() }

// facts returns a comparison over n items. On wins items only the candidate is right, on losses only the champion; on
// 80% of the others both are right.
func facts(n, wins, losses int) GateFacts {
	both := (n - wins - losses) * 8 / 10
	return GateFacts{
		Release: "sha256:new", N: n, Wins: wins, Losses: losses, Majority: .3,
		Candidate: Score{Correct: both + wins, Accuracy: float64(both+wins) / float64(n)},
		Champion:  &Score{Correct: both + losses, Accuracy: float64(both+losses) / float64(n)},
	}
}

// The expected figures were computed separately: McNemar's p as a sum of binomial coefficients over 2^(b+c), the Wald
// bound as d - 1.6449 sqrt(((b+c)/n - d²)/n), Tango's score bound with the likelihood maximised by search.
func TestJudge(t *testing.T) {
	t.Parallel()
	first := func(right, n int, majority float64) GateFacts {
		return GateFacts{
			Release: "sha256:new", N: n, Candidate: Score{Correct: right, Accuracy: float64(right) / float64(n)},
			Majority: majority,
		}
	}
	same := facts(200, 0, 0)
	same.Release = "sha256:old"
	for _, c := range []struct {
		name   string
		config PromoteConfig
		facts  GateFacts
		class  store.StepState
		p      float64 // NaN: not computed
		bound  float64
		why    string
	}{
		{
			"first release", promote(GateNotWorse), first(80, 100, .3), store.StepOK, math.NaN(), math.NaN(),
			"first release: 80.0% of 100 held-out items right",
		},
		{
			"first release that always says the same", promote(GateNotWorse), first(30, 100, .3), store.StepRejected, math.NaN(),
			math.NaN(), "no better than always answering the most frequent label (30.0%)",
		},
		{
			"nothing answered", promote(GatePoint),
			GateFacts{Release: "sha256:new"},
			store.StepFailed, math.NaN(), math.NaN(),
			"no held-out item has an answer of the candidate: do the ids",
		},
		{
			"nothing in common", promote(GatePoint),
			GateFacts{Release: "sha256:new", Champion: &Score{}},
			store.StepFailed,
			math.NaN(), math.NaN(), "of the candidate and one of the champion: do the ids",
		},
		{
			"the very same artifact", promote(GatePoint), same, store.StepRejected, math.NaN(), math.NaN(),
			"the artifact that is already deployed",
		},

		// d = .02, se = sqrt((.1-.0004)/500) = .014114: .02 - 1.6449·.014114 = -.0032
		{
			"not worse", promote(GateNotWorse), facts(500, 30, 20), store.StepOK, .1013, -.32,
			"not worse: candidate 78.0%, champion 76.0% of 500 held-out items (only the candidate is right on 30, only the champion on 20); with 95% confidence the difference is at least -0.3 points",
		},
		// d = 0, se = sqrt(.1/500) = .014142: -2.33 points
		{
			"not surely", promote(GateNotWorse), facts(500, 25, 25), store.StepInconclusive, .5561, -2.33,
			"too little evidence that the candidate is at most 1 point worse",
		},
		{
			"a wide margin", PromoteConfig{Gate: GateNotWorse, Margin: 3}.WithDefaults(), facts(500, 25, 25), store.StepOK,
			.5561, -2.33, "not worse",
		},
		// d = -.04, se = sqrt((.1-.0016)/500) = .014028
		{
			"worse", promote(GateNotWorse), facts(500, 15, 35), store.StepRejected, .9987, -6.31,
			"worse: candidate 75.0%, champion 79.0%",
		},
		// 12 discordant of 500: Tango's score bound
		{"few differences", promote(GateNotWorse), facts(500, 8, 4), store.StepOK, .1938, -.379, "not worse"},
		{"small set", promote(GateNotWorse), facts(50, 3, 1), store.StepInconclusive, .3125, -3.399, "too little evidence"},
		{"not one difference", promote(GateNotWorse), facts(500, 0, 0), store.StepOK, 1, 0, "both are right on the same items"},
		{"not one difference in a small set", promote(GateNotWorse), facts(30, 0, 0), store.StepOK, 1, 0, "both are right on the same items"},

		// (1+10+45)/1024... P(Bin(10,1/2) >= 9) = 11/1024, >= 8 = 56/1024
		{"better", promote(GateBetter), facts(200, 9, 1), store.StepOK, 11. / 1024, math.NaN(), "better: "},
		{
			"not significantly better", promote(GateBetter), facts(200, 8, 2), store.StepInconclusive, 56. / 1024, math.NaN(),
			"not significantly better (p = 0.055, needs < 0.05)",
		},
		{"not better", promote(GateBetter), facts(200, 2, 8), store.StepRejected, 1013. / 1024, math.NaN(), "not better: "},
		{"as good is not better", promote(GateBetter), facts(200, 0, 0), store.StepRejected, 1, math.NaN(), "not better: "},
		{"five wins without a loss", promote(GateBetter), facts(200, 5, 0), store.StepOK, 1. / 32, math.NaN(), "p = 0.0312"},

		{
			"at least as many", promote(GatePoint), facts(200, 4, 4), store.StepOK, math.NaN(), math.NaN(),
			"at least as good: ",
		},
		{"one less", promote(GatePoint), facts(200, 4, 5), store.StepRejected, math.NaN(), math.NaN(), "worse: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, class, why := Judge(c.config, c.facts, "sha256:old")
			if class != c.class || !strings.Contains(why, c.why) {
				t.Errorf("%s: %s", class, why)
			}
			if !math.IsNaN(c.p) && math.Abs(f.P-c.p) > 5e-5 {
				t.Errorf("p = %v, by hand %v", f.P, c.p)
			}
			if !math.IsNaN(c.bound) && math.Abs(f.Bound-c.bound) > 5e-3 {
				t.Errorf("bound %v, by hand %v", f.Bound, c.bound)
			}
			if f.Gate != c.config.Gate || f.Margin != float64(c.config.Margin) {
				t.Errorf("the rule is not in the facts: %+v", f)
			}
		})
	}
}

func TestCategoryFloor(t *testing.T) {
	t.Parallel()
	// sport loses 10 of its items without a win: p = 2^-10 = .00098. culture loses 5 of 40: p = 1/32 = .031.
	lost := Category{
		Name: "sport", Support: 40, Champion: .9, Candidate: .65, ChampionF1: .9, CandidateF1: .65,
		P: stats.SignTest(10, 0),
	}
	maybe := Category{
		Name: "culture", Support: 40, Champion: .9, Candidate: .775, ChampionF1: .9, CandidateF1: .775,
		P: stats.SignTest(5, 0),
	}
	// Lower recall, but higher precision, as after a new category was split off from this one.
	purer := lost
	purer.CandidateF1 = .87
	quiet := func(n int) (out []Category) {
		for i := range n {
			out = append(out, Category{
				Name: fmt.Sprint("quiet ", i), Support: 40, Champion: .8, Candidate: .8, ChampionF1: .8,
				CandidateF1: .8, P: 1,
			})
		}
		return out
	}
	for _, c := range []struct {
		name       string
		floor      float64
		categories []Category
		class      store.StepState
		worse      []string
	}{
		{"one lost", 5, append(quiet(3), lost), store.StepRejected, []string{"sport"}},
		{"by chance alone it is seldom", 5, []Category{maybe}, store.StepRejected, []string{"culture"}},
		{"one of two may be by chance", 5, append(quiet(1), maybe), store.StepOK, nil},           // .031 > .05/2
		{"one of fifty lost", 5, append(quiet(49), lost), store.StepRejected, []string{"sport"}}, // .00098 < .05/50
		{"one of fifty-two", 5, append(quiet(51), lost), store.StepOK, nil},                      // .00098 > .05/52
		{"fewer false finds make up for it", 5, []Category{purer}, store.StepOK, nil},
		{"within the floor", 30, []Category{lost}, store.StepOK, nil},
		{"exactly the floor", 25, []Category{{
			Name: "x", Support: 4, Champion: .75, Candidate: .5, ChampionF1: .75,
			CandidateF1: .5, P: 0,
		}}, store.StepOK, nil},
		{
			"both", 5,
			[]Category{
				lost,
				{Name: "zoo", Support: 50, Champion: 1, Candidate: 0, ChampionF1: 1, P: stats.SignTest(50, 0)},
			},
			store.StepRejected,
			[]string{"sport", "zoo"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := facts(1000, 60, 30) // better overall: only the floor decides
			f.Worse = c.categories
			f, class, why := Judge(PromoteConfig{CategoryFloor: unit.Points(c.floor)}.WithDefaults(), f, "sha256:old")
			var worse []string
			for _, w := range f.Worse {
				worse = append(worse, w.Name)
			}
			if class != c.class {
				t.Errorf("%s: %s", class, why)
			}
			if diff := cmp.Diff(c.worse, worse); diff != "" {
				t.Error(diff)
			}
			if class == store.StepRejected && !strings.Contains(why, `category "`+c.worse[0]+`" would get worse: recall from `) {
				t.Error(why)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	targets := []serving.Target{{Name: "label"}, {Name: "other"}}
	item := func(id, label string) drift.LabelChange {
		return drift.LabelChange{
			Item: id, Heldout: true, TextHash: "h" + id,
			New: map[string]string{"label": label, "other": "o"},
		}
	}
	said := func(labels ...string) answers {
		out := answers{}
		for i, l := range labels {
			if l != "" {
				id := fmt.Sprint(i)
				out[[2]string{id, "h" + id}] = answer{Answers: serving.Answers{"label": l, "other": "o"}}
			}
		}
		return out
	}
	items := []drift.LabelChange{
		item("0", "a"), item("1", "a"), item("2", "a"), item("3", "b"), item("4", "b"),
		item("5", "b"), item("6", "b"),
	}
	unlabelled := item("7", "")
	delete(unlabelled.New, "label")
	changed := item("8", "a")
	changed.TextHash = "another text"
	items = append(items, unlabelled, changed)
	//               0    1    2    3    4    5    6   7    8
	candidate := said("a", "a", "b", "b", "b", "c", "", "a", "a")
	champion := said("a", "b", "a", "b", "c", "d", "b", "a", "a")
	f := compare(targets, items, candidate, champion)
	if f.N != 6 || f.Wins != 2 || f.Losses != 1 || f.Differ != 4 || f.Candidate.Correct != 4 || f.Champion.Correct != 3 {
		t.Errorf("got %+v, champion %+v", f, f.Champion)
	}
	if math.Abs(f.Candidate.Accuracy-4./6) > 1e-12 || math.Abs(f.Majority-.5) > 1e-12 {
		t.Errorf("accuracy %v, majority %v", f.Candidate.Accuracy, f.Majority)
	}
	want := []Category{
		{Name: "a", Support: 3, Champion: 2. / 3, Candidate: 2. / 3, ChampionF1: .8, CandidateF1: .8, P: .75},   // 1 win, 1 loss: P(Bin(2,1/2) >= 1)
		{Name: "b", Support: 3, Champion: 1. / 3, Candidate: 2. / 3, ChampionF1: .4, CandidateF1: 2. / 3, P: 1}, // 1 win, no loss
	}
	if diff := cmp.Diff(map[string]stats.Stretch{"a": {N: 3, Errs: 1}, "b": {N: 3, Errs: 1}}, f.Missed); diff != "" {
		t.Errorf("missed: %s", diff)
	}
	if diff := cmp.Diff(want, f.Worse, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
		t.Error(diff)
	}
	f = compare(targets, items, candidate, nil)
	if f.N != 6 || f.Champion != nil || f.Worse != nil || f.Wins+f.Losses+f.Differ != 0 {
		t.Errorf("the first release: %+v", f)
	}
	if f = compare(targets, items, answers{}, champion); f.N != 0 || f.Champion == nil {
		t.Errorf("nothing answered: %+v", f)
	}
}

// The reason does not call all held-out items trained on if some of them only have no answer.
func TestJudgeNothingToCompare(t *testing.T) {
	t.Parallel()
	for leaked, want := range map[int]string{
		0: "no held-out item has an answer of the candidate: ",
		5: "no held-out item can be compared: 5 were training items of the candidate or of the champion, and no other has an answer of the candidate;",
	} {
		_, class, why := Judge(PromoteConfig{}.WithDefaults(), GateFacts{Leaked: leaked}, "")
		if class != store.StepFailed || !strings.HasPrefix(why, want) {
			t.Errorf("%d: %s: %s", leaked, class, why)
		}
	}
}
