package drift_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// arithmetic skips a test in the short run (the one under the race detector): the test is long and has no concurrency.
func arithmetic(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("arithmetic")
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.15g, want %.15g", what, got, want)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func label(s string) map[string]string { return map[string]string{"label": s} }

func hash(s string) string { return drift.TextHash(map[string]string{"t": s}) }

// bench is a Monitor over held-out items named by their number, with the given labels and answers.
type bench struct {
	*drift.Monitor
	seq int64
}

func setup(t *testing.T, opts drift.Options, truth, answers []string) *bench {
	t.Helper()
	b := &bench{Monitor: drift.NewMonitor(opts)}
	var items []drift.LabelChange
	for i, l := range truth {
		items = append(items, drift.LabelChange{
			Item: fmt.Sprint(i), Heldout: true, TextHash: hash(fmt.Sprint(i)),
			New: label(l), At: noon, Seq: int64(i + 1),
		})
	}
	b.seq = int64(len(truth))
	b.Reset(drift.Release{Digest: "sha256:a", BaselineSeq: b.seq, TrainedSeq: b.seq}, slices.Values(items))
	for i, a := range answers {
		if !b.Answer(fmt.Sprint(i), hash(fmt.Sprint(i)), label(a)) {
			t.Fatalf("answer %d is not accepted", i)
		}
	}
	return b
}

func (b *bench) rebase(t *testing.T) drift.Baseline {
	t.Helper()
	base, err := b.Rebase(noon)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func (b *bench) relabel(id, to, author string) {
	b.seq++
	b.Label(drift.LabelChange{Item: id, New: label(to), Author: author, At: noon, Seq: b.seq})
}

func (b *bench) arrive(id, truth, answer string) {
	b.seq++
	b.Put(drift.LabelChange{
		Item: id, Heldout: true, TextHash: hash(id), New: label(truth), Inserted: true, At: noon,
		Seq: b.seq,
	})
	if answer != "" {
		b.Answer(id, hash(id), label(answer))
	}
}

// The expected values are those in scikit-learn's documentation of f1_score, cohen_kappa_score, balanced_accuracy_score
// and matthews_corrcoef, computed to full length from the definitions.
func TestScoresAsScikitLearn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		truth, answers                     []string
		accuracy, f1, balanced, kappa, mcc float64
	}{
		"f1_score": {
			[]string{"0", "1", "2", "0", "1", "2"},
			[]string{"0", "2", "1", "0", "0", "1"},
			1. / 3, 0.8 / 3, 1. / 3, 0, 0,
		},
		"cohen_kappa_score": {
			[]string{"negative", "positive", "negative", "neutral", "positive"},
			[]string{"negative", "positive", "negative", "neutral", "negative"},
			.8, (0.8 + 1 + 2./3) / 3, 2.5 / 3, .6875, 11 / math.Sqrt(16*14),
		},
		"balanced_accuracy_score": {
			[]string{"0", "1", "0", "0", "1", "0"},
			[]string{"0", "1", "0", "0", "0", "1"},
			4. / 6, (0.75 + 0.5) / 2, .625, .25, .25,
		},
		"matthews_corrcoef": {
			[]string{"1", "1", "1", "-1"},
			[]string{"1", "-1", "1", "1"},
			.5, (2. / 3) / 2, 1. / 3, -1. / 3, -1. / 3,
		},
		"one category, all right": {[]string{"a", "a"}, []string{"a", "a"}, 1, 1, 1, 0, 0},
		"all wrong":               {[]string{"a", "b"}, []string{"c", "c"}, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t, drift.Options{}, c.truth, c.answers).Report(noon)
			near(t, "accuracy", r.Accuracy, c.accuracy, 1e-12)
			near(t, "macro F1", r.MacroF1, c.f1, 1e-12)
			near(t, "balanced", r.Balanced, c.balanced, 1e-12)
			near(t, "kappa", r.Kappa, c.kappa, 1e-12)
			near(t, "mcc", r.MCC, c.mcc, 1e-12)
		})
	}
}

func TestNothingIsNeverNaN(t *testing.T) {
	t.Parallel()
	r := drift.NewMonitor(drift.Options{Model: "m"}).Report(noon)
	if r.State != drift.StateNoRelease || r.Target != "label" || r.Low != 0 || r.High != 1 || r.Relabels.P != 1 {
		t.Errorf("%+v", r)
	}
	empty := setup(t, drift.Options{}, nil, nil)
	if r := empty.Report(noon); r.State != drift.StateInsufficient || r.Detail != "the held-out set is empty" ||
		math.IsNaN(r.Accuracy+r.MacroF1+r.Kappa+r.MCC+r.Balanced) {
		t.Errorf("%+v", r)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{MinItems: 3}, []string{"a", "b", "a"}, []string{"a", "b"})
	if r := b.Report(noon); r.State != drift.StateUnscored || r.HeldOut != 3 || r.Scored != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := b.Rebase(noon); err == nil {
		t.Error("a baseline of only some of the texts is accepted")
	}
	b.Service(fmt.Errorf("%w: night", serving.ErrAsleep))
	if r := b.Report(noon); r.State != drift.StateAsleep {
		t.Errorf("%+v", r)
	}
	b.Service(fmt.Errorf("%w: 500", serving.ErrService))
	if r := b.Report(noon); r.State != drift.StateError || r.Detail == "" {
		t.Errorf("%+v", r)
	}
	waiting := b.Unscored()
	if diff := cmp.Diff([]drift.Unscored{{Item: "2", TextHash: hash("2")}}, waiting); diff != "" {
		t.Error(diff)
	}
	b.Answer("2", hash("2"), label("a"))
	if r := b.Report(noon); r.State != drift.StateOK { // all items are scored, so the error no longer counts
		t.Errorf("%+v", r)
	}
	b.Delete("2", 10)
	if r := b.Report(noon); r.State != drift.StateInsufficient {
		t.Errorf("%+v", r)
	}
}

func TestAnswerForAnotherTextIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a"}, nil)
	if b.Answer("0", hash("another text"), label("a")) || b.Answer("nobody", hash("0"), label("a")) ||
		b.Answer("0", hash("0"), serving.Answers{"other": "a"}) {
		t.Error("taken")
	}
	b.Answer("0", hash("0"), label("a"))
	b.Put(drift.LabelChange{Item: "0", Heldout: true, TextHash: hash("edited"), New: label("a"), Seq: 5})
	if r := b.Report(noon); r.Scored != 0 || len(b.Unscored()) != 1 {
		t.Errorf("the edited text keeps its old answer: %+v", r)
	}
}

func TestLeakedItemsNeverCount(t *testing.T) {
	t.Parallel()
	m := drift.NewMonitor(drift.Options{})
	items := []drift.LabelChange{
		{Item: "1", Heldout: true, TextHash: hash("1"), New: label("a"), Seq: 1},
		{Item: "2", Heldout: true, TextHash: hash("2"), New: label("a"), Seq: 2},
	}
	m.Reset(drift.Release{
		Digest: "d", TrainedOn: func(item, _ string) bool { return item == "1" },
		Cached: func(string, string) (serving.Answers, bool) { return label("a"), true },
	}, slices.Values(items))
	if r := m.Report(noon); r.Leaked != 1 || r.HeldOut != 1 || r.Scored != 1 || r.Correct != 1 {
		t.Errorf("%+v", r)
	}
}

func TestRelabelsArePaired(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a", "a", "a", "b", "b"}, []string{"a", "a", "a", "b", "a"})
	base := b.rebase(t)
	if base.N != 5 || base.Correct != 4 {
		t.Errorf("%+v", base)
	}
	b.relabel("0", "b", "anna") // right to wrong
	b.relabel("1", "c", "ben")  // right to wrong
	b.relabel("1", "b", "ben")  // wrong before and after
	b.relabel("4", "a", "ben")  // wrong to right
	b.seq++
	b.Label(drift.LabelChange{
		Item: "2", New: label("b"), Own: true, Author: "retraind",
		Seq: b.seq,
	}) // counted, but not evidence
	r := b.Report(noon)
	want := drift.Relabels{RightToWrong: 2, WrongToRight: 1, P: .5, Authors: 2}
	if diff := cmp.Diff(want, r.Relabels); diff != "" {
		t.Error(diff)
	}
	if r.Correct != 2 || r.Drop != 40 || r.Labels.Changed != 3 || r.Seq != b.seq {
		t.Errorf("%+v", r)
	}
	if r.NewItems.N != 0 {
		t.Errorf("a correction counts as an arrival: %+v", r.NewItems)
	}
	b.rebase(t)
	if r := b.Report(noon); r.Relabels.RightToWrong != 0 || r.Drop != 0 {
		t.Errorf("a new baseline does not restart: %+v", r)
	}
}

// Label changes by retraind's own runs affect the figures, which are computed from the present labels, but they are
// not evidence: a relabelling whose candidate was rejected must not make the next retrain due.
func TestOwnWritesAreNoEvidence(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a", "a", "a", "b"}, []string{"a", "a", "a", "a"})
	b.rebase(t)
	own := func(item, to string) {
		b.seq++
		b.Label(drift.LabelChange{Item: item, New: label(to), Own: true, Author: "retraind", At: noon, Seq: b.seq})
	}
	expect := func(when string, balance, correct, byPeople int) {
		t.Helper()
		r := b.Report(noon)
		people := r.ByPeople()
		if people.Correct-r.Correct != balance || r.Correct != correct || people.Correct != byPeople ||
			people.Accuracy != float64(byPeople)/float64(r.Scored) {
			t.Errorf("%s: balance %d, %d right, %d by people (%v)", when, people.Correct-r.Correct, r.Correct, people.Correct,
				people.Accuracy)
		}
	}
	expect("nothing written", 0, 3, 3)
	own("0", "b")
	own("1", "b")
	expect("two made wrong", 2, 1, 3)
	own("0", "c")
	expect("one of them again", 2, 1, 3)
	own("0", "a")
	expect("and reverted", 1, 2, 3)
	own("3", "a")
	expect("one made right", 0, 3, 3)

	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RestoreState(state); err != nil {
		t.Fatal(err)
	}
	expect("after a restart", 0, 3, 3)
	b.relabel("1", "b", "anna")
	b.relabel("1", "c", "anna")
	expect("a person says otherwise too", -1, 3, 2)
	if r := b.Report(noon); r.Relabels.RightToWrong != 1 || r.Relabels.WrongToRight != 0 {
		t.Errorf("a person corrects the label that people left, not retraind's: %+v", r.Relabels)
	}
	b.Delete("3", b.seq+1)
	b.seq++
	expect("and the other one is gone", 0, 2, 2)
}

// Retraind labels items that had no label, and a person corrects the labels: neither is evidence, also after a restart.
func TestOwnFirstLabelsAreNoEvidence(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a", "b"}, []string{"a", "b"})
	b.rebase(t)
	for _, id := range []string{"x", "y"} {
		b.seq++
		b.Put(drift.LabelChange{Item: id, Heldout: true, TextHash: hash(id), Inserted: true, At: noon, Seq: b.seq})
		b.seq++
		b.Label(drift.LabelChange{Item: id, New: label("a"), Own: true, Author: "retraind", At: noon, Seq: b.seq})
		b.Answer(id, hash(id), label("a"))
	}
	b.relabel("x", "b", "anna")
	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RestoreState(state); err != nil {
		t.Fatal(err)
	}
	b.relabel("y", "b", "anna")
	b.relabel("y", "", "anna")
	b.relabel("y", "b", "anna")
	r := b.Report(noon)
	if r.Relabels.RightToWrong+r.Relabels.WrongToRight+r.Relabels.Authors != 0 || r.NewItems.N != 0 {
		t.Errorf("%+v, %+v", r.Relabels, r.NewItems)
	}
	b.rebase(t) // now their labels are in the baseline
	b.relabel("x", "a", "anna")
	if r := b.Report(noon); r.Relabels.WrongToRight != 1 {
		t.Errorf("%+v", r.Relabels)
	}
}

// The figures by people equal those of a table that retraind never wrote to.
func TestFiguresByPeople(t *testing.T) {
	t.Parallel()
	labels, answers := []string{"a", "a", "a", "b", "b", "c"}, []string{"a", "a", "b", "b", "a", "c"}
	b := setup(t, drift.Options{}, labels, answers)
	b.rebase(t)
	untouched := b.Report(noon)
	if untouched.People != nil {
		t.Errorf("nothing was written: %+v", untouched.People)
	}
	for item, to := range []string{"b", "c", "c", "a", "c", "a"} { // the answers to items 2 and 4 stay wrong
		b.seq++
		b.Label(drift.LabelChange{
			Item: fmt.Sprint(item), New: label(to), Own: true, Author: "retraind", At: noon,
			Seq: b.seq,
		})
	}
	now := b.Report(noon)
	if now.Correct == untouched.Correct || now.MacroF1 == untouched.MacroF1 {
		t.Errorf("the figures are of the labels as they stand: %+v", now.Figures)
	}
	if diff := cmp.Diff(untouched.Figures, now.ByPeople().Figures); diff != "" {
		t.Error(diff)
	}
	if again := b.Report(noon); !cmp.Equal(now, again) {
		t.Errorf("a report changes the next one: %s", cmp.Diff(now, again))
	}
	for item, was := range labels { // a person changes everything back, which corrects no answer of the model
		b.relabel(fmt.Sprint(item), was, "anna")
	}
	back := b.Report(noon)
	if back.People != nil || !cmp.Equal(untouched.Figures, back.Figures) {
		t.Errorf("put back: %+v", back)
	}
	if back.Relabels.RightToWrong+back.Relabels.WrongToRight != 0 {
		t.Errorf("undoing retraind's writes is evidence: %+v", back.Relabels)
	}
}

func TestArrivalsCountOnceInCommitOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{DropPoints: 2}, []string{"a", "b"}, []string{"a", "b"})
	b.rebase(t)
	b.arrive("x", "a", "") // has no answer yet, and blocks those behind it
	b.arrive("y", "a", "b")
	if r := b.Report(noon); r.NewItems.N != 0 || r.Scored != 3 {
		t.Errorf("%+v", r.NewItems)
	}
	b.Answer("x", hash("x"), label("a"))
	if r := b.Report(noon); r.NewItems.N != 2 || r.NewItems.Errors != 1 {
		t.Errorf("%+v", r.NewItems)
	}
	b.relabel("y", "b", "anna") // now a correction of a judged item
	b.Delete("y", 0)
	b.arrive("y", "a", "b") // the same id again
	b.arrive("x", "a", "")  // the same row again
	if r := b.Report(noon); r.NewItems.N != 2 || r.Relabels.WrongToRight != 1 {
		t.Errorf("%+v", r)
	}
	b.seq++ // an item without a label arrives when it gets one
	b.Put(drift.LabelChange{Item: "z", Heldout: true, TextHash: hash("z"), Inserted: true, Seq: b.seq})
	b.relabel("z", "a", "anna")
	b.Answer("z", hash("z"), label("b"))
	if r := b.Report(noon); r.NewItems.N != 3 || r.NewItems.Errors != 2 {
		t.Errorf("%+v", r.NewItems)
	}
	b.seq++
	b.Put(drift.LabelChange{
		Item: "own", Heldout: true, TextHash: hash("own"), New: label("a"), Inserted: true, Own: true,
		Seq: b.seq,
	})
	b.Answer("own", hash("own"), label("b"))
	if r := b.Report(noon); r.NewItems.N != 3 {
		t.Errorf("retraind's own label is evidence: %+v", r.NewItems)
	}
}

func TestArrivalsRaiseTheAlarm(t *testing.T) {
	t.Parallel()
	truth := slices.Repeat([]string{"a", "b"}, 200)
	opts := drift.Options{DropPoints: 3, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * 24 * time.Hour)}}
	b := setup(t, opts, truth, truth)
	b.rebase(t)
	at := 0
	for i := 0; i < 200 && at == 0; i++ {
		b.arrive(fmt.Sprint("n", i), "a", map[bool]string{true: "a", false: "b"}[i%2 == 0])
		if b.Report(noon).NewItems.Alarmed {
			at = i
		}
	}
	r := b.Report(noon)
	if at == 0 || at > 60 {
		t.Errorf("half of the arrivals are wrong and the alarm came at %d: %+v", at, r.NewItems)
	}
	// The labels of the first day give no rate. Until there is a rate, the bound is at least what their number
	// requires.
	if want := 180 * float64(401+at); math.Abs(r.NewItems.Bound-want) > 1e-6 || r.Labels.Rate != 0 ||
		r.Labels.RateDays != 0 {
		t.Errorf("bound %v, rate %v over %d days", r.NewItems.Bound, r.Labels.Rate, r.Labels.RateDays)
	}
}

func TestLabelMix(t *testing.T) {
	t.Parallel()
	m := drift.NewMonitor(drift.Options{})
	var items []drift.LabelChange
	add := func(l string, n int) {
		for range n {
			items = append(items, drift.LabelChange{Item: fmt.Sprint(len(items)), New: label(l), Seq: int64(len(items) + 1)})
		}
	}
	add("a", 60)
	add("b", 20)
	add("new", 20)
	m.Reset(drift.Release{Digest: "d", TrainedSeq: 90, TrainLabels: map[string]int{"a": 50, "b": 25, "gone": 25}},
		slices.Values(items))
	l := m.Report(noon).Labels
	if l.Items != 100 || l.Changed != 10 || l.Share != .1 {
		t.Errorf("%+v", l)
	}
	if diff := cmp.Diff(map[string]int{"new": 20}, l.New); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"gone"}, slices.Sorted(maps.Keys(l.Gone))); diff != "" {
		t.Error(diff)
	}
	near(t, "psi", l.PSI, stats.PSI(map[string]int{"a": 50, "b": 25, "gone": 25},
		map[string]int{"a": 60, "b": 20, "new": 20}), 1e-12)
}

func TestSetsAreScoredWholeAndByMember(t *testing.T) {
	t.Parallel()
	config := serving.Config{Targets: map[string]serving.Target{"aks": {Kind: serving.KindSet}}}
	m := drift.NewMonitor(drift.Options{Targets: config.List()})
	set := func(s ...string) map[string]string { return map[string]string{"aks": serving.CanonicalSet(s)} }
	for i, c := range []struct{ truth, answer map[string]string }{
		{set("a", "b"), set("b", "a")}, {set("a"), set("a", "c")}, {set(), set()}, {set("b"), set()},
	} {
		id := fmt.Sprint(i)
		m.Put(drift.LabelChange{Item: id, Heldout: true, TextHash: hash(id), New: c.truth, Seq: int64(i + 1)})
		m.Answer(id, hash(id), c.answer)
	}
	r := m.Report(noon)
	if r.Scored != 4 || r.Correct != 2 {
		t.Errorf("%+v", r)
	}
	got := map[string][3]int{}
	for _, c := range r.Category {
		got[c.Name] = [3]int{c.Support, c.Predicted, c.Correct}
	}
	if diff := cmp.Diff(map[string][3]int{"a": {2, 2, 2}, "b": {2, 1, 1}, "c": {0, 1, 0}}, got); diff != "" {
		t.Error(diff)
	}
	near(t, "macro F1", r.MacroF1, (1+2./3+0)/3, 1e-12)
	if err := m.Audit(); err != nil {
		t.Error(err)
	}
}

func TestEveryTargetHasItsFigures(t *testing.T) {
	t.Parallel()
	m := drift.NewMonitor(drift.Options{Targets: serving.Config{
		Gate: "relevant", Targets: map[string]serving.Target{"relevant": {}, "aks": {}, "priority": {}},
	}.List()})
	for i, c := range []struct{ truth, answer map[string]string }{
		{
			map[string]string{"relevant": "yes", "aks": "a"},
			map[string]string{"relevant": "yes", "aks": "b", "priority": "low"},
		},
		{map[string]string{"relevant": "no", "aks": "a"}, map[string]string{"relevant": "no", "aks": "a", "priority": "low"}},
		{map[string]string{"relevant": "no"}, map[string]string{"relevant": "no", "aks": "a", "priority": "low"}},
	} {
		id := fmt.Sprint(i)
		m.Put(drift.LabelChange{Item: id, Heldout: true, TextHash: hash(id), New: c.truth, Seq: int64(i + 1)})
		if !m.Answer(id, hash(id), c.answer) {
			t.Fatalf("the answer to %s is not accepted", id)
		}
	}
	r := m.Report(noon)
	if r.Target != "relevant" || r.Scored != 3 || r.Correct != 3 {
		t.Errorf("%+v", r)
	}
	low, high := stats.Wilson(1, 2)
	want := []drift.TargetFigures{
		{Name: "aks", N: 2, Correct: 1, Accuracy: 0.5, Low: low, High: high, MacroF1: 1. / 3},
		{Name: "priority", High: 1},
	}
	if diff := cmp.Diff(want, r.Targets); diff != "" {
		t.Error(diff)
	}
}

func TestBoundSurvivesARestart(t *testing.T) {
	t.Parallel()
	opts := drift.Options{FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * 24 * time.Hour)}}
	b := setup(t, opts, []string{"a"}, []string{"a"})
	b.rebase(t)
	for day := range 40 { // 4 a day for 40 days
		for i := range 4 {
			b.seq++
			b.Put(drift.LabelChange{
				Item: fmt.Sprint(day, ".", i), Heldout: true, TextHash: hash("x"), New: label("a"), Inserted: true,
				At: noon.AddDate(0, 0, day), Seq: b.seq,
			})
		}
	}
	now := noon.AddDate(0, 0, 39)
	before := b.Report(now)
	near(t, "rate", before.Labels.Rate, 4, 1e-12)
	near(t, "bound", before.NewItems.Bound, 720, 1e-9)
	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	again := drift.NewMonitor(opts)
	again.Reset(b.Release(), nil) // as if the store did not know when labels arrived
	near(t, "bound without a rate", again.Report(now).NewItems.Bound, 180, 1e-9)
	if err := again.RestoreState(state); err != nil {
		t.Fatal(err)
	}
	near(t, "bound after the restart", again.Report(now).NewItems.Bound, 720, 1e-9)
}

func TestStateOfAnotherReleaseIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, drift.Options{}, []string{"a"}, []string{"a"})
	b.rebase(t)
	b.relabel("0", "b", "anna")
	state, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	other := drift.NewMonitor(drift.Options{})
	other.Reset(drift.Release{Digest: "sha256:b"}, nil)
	for _, bad := range [][]byte{state, []byte("{"), []byte(`{"release":"sha256:b","right_to_wrong":-1}`)} {
		if other.RestoreState(bad) == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if r := other.Report(noon); r.Relabels.RightToWrong != 0 {
		t.Errorf("%+v", r)
	}
}

func TestNullOfASetIsALabel(t *testing.T) {
	t.Parallel()
	for null, want := range map[string]string{"none": `["none"]`, "[]": "[]", `["b","a"]`: `["a","b"]`} {
		target := serving.Target{Name: "set", Kind: serving.KindSet, Null: null}
		m := drift.NewMonitor(drift.Options{Targets: []serving.Target{target}})
		m.Reset(drift.Release{Digest: "d"}, nil)
		m.Put(drift.LabelChange{Item: "1", Heldout: true, TextHash: hash("1"), Inserted: true, Seq: 1})
		m.Answer("1", hash("1"), serving.Answers{"set": want})
		if r := m.Report(noon); r.Correct != 1 || r.Scored != 1 {
			t.Errorf("%s: %d of %d right", null, r.Correct, r.Scored)
		}
	}
}
