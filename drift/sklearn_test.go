package drift_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
)

// python is Debian's interpreter: python3-sklearn installs its packages for that one, even if PATH has another first.
const python = "/usr/bin/python3"

// sample is a set of items as input of scikit-learn.
type sample struct {
	Truth   []any `json:"truth"`
	Answers []any `json:"answers"`
	Sets    bool  `json:"sets"`
}

// reference is scikit-learn's result for a sample.
type reference struct {
	Accuracy  float64   `json:"accuracy"`
	MacroF1   float64   `json:"macro_f1"`
	Balanced  float64   `json:"balanced"`
	Kappa     float64   `json:"kappa"`
	MCC       float64   `json:"mcc"`
	Majority  float64   `json:"majority"`
	Names     []string  `json:"names"`
	Precision []float64 `json:"precision"`
	Recall    []float64 `json:"recall"`
	F1        []float64 `json:"f1"`
	Support   []int     `json:"support"`
	Matrix    [][]int   `json:"matrix"`
}

// history applies inserts, text changes, label changes, deletes and the renaming of a category to a Monitor, and
// returns the remaining items. Seeds are fixed, so that the stored reference stays valid.
func history(seed uint64, categories, items int, right float64, kind serving.Kind) (*drift.Monitor, sample) {
	rng := rand.New(rand.NewPCG(seed, 0))
	name := func() string { return "c" + strconv.Itoa(int(float64(categories)*rng.Float64()*rng.Float64())) } // some are rare
	pick := func() any {
		if kind != serving.KindSet {
			return name()
		}
		set := []string{}
		for range rng.IntN(4) {
			set = append(set, name())
		}
		slices.Sort(set)
		return slices.Compact(set)
	}
	text := func(v any) map[string]string {
		if set, ok := v.([]string); ok {
			return label(serving.CanonicalSet(set))
		}
		return label(v.(string))
	}
	m := drift.NewMonitor(drift.Options{Targets: []serving.Target{{Name: "label", Kind: kind}}})
	m.Reset(drift.Release{Digest: "d"}, nil)
	type item struct{ truth, answer any }
	left := map[string]item{}
	seq := int64(0)
	put := func(id string, it item, version int) {
		seq++
		m.Put(drift.LabelChange{
			Item: id, Heldout: true, TextHash: hash(id + fmt.Sprint(version)), New: text(it.truth),
			At: noon, Seq: seq,
		})
		m.Answer(id, hash(id+fmt.Sprint(version)), text(it.answer))
		left[id] = it
	}
	draw := func() item {
		it := item{truth: pick()}
		if it.answer = it.truth; rng.Float64() >= right {
			it.answer = pick()
		}
		return it
	}
	for i := range items {
		put(fmt.Sprint(i), draw(), 0)
	}
	for i := range items {
		id := fmt.Sprint(rng.IntN(items))
		it, known := left[id]
		if !known {
			continue
		}
		switch rng.IntN(4) {
		case 0: // another text, and so another answer
			put(id, draw(), i+1)
		case 1:
			if len(left) > 1 {
				seq++
				m.Delete(id, seq)
				delete(left, id)
			}
		default:
			seq++
			it.truth = pick()
			m.Label(drift.LabelChange{Item: id, New: text(it.truth), At: noon, Seq: seq})
			left[id] = it
		}
	}
	ids := []string{}
	for id, it := range left {
		if it.truth == any("c0") && kind != serving.KindSet { // the category is renamed in the labels
			seq++
			it.truth = "renamed"
			m.Label(drift.LabelChange{Item: id, New: label("renamed"), At: noon, Seq: seq})
			left[id] = it
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	s := sample{Sets: kind == serving.KindSet}
	for _, id := range ids {
		s.Truth, s.Answers = append(s.Truth, left[id].truth), append(s.Answers, left[id].answer)
	}
	return m, s
}

// still returns a Monitor over items that do not change.
func still(truth, answers []string) (*drift.Monitor, sample) {
	m := drift.NewMonitor(drift.Options{})
	var s sample
	for i := range truth {
		id := fmt.Sprint(i)
		m.Put(drift.LabelChange{Item: id, Heldout: true, TextHash: hash(id), New: label(truth[i]), Seq: int64(i + 1)})
		m.Answer(id, hash(id), label(answers[i]))
		s.Truth, s.Answers = append(s.Truth, truth[i]), append(s.Answers, answers[i])
	}
	return m, s
}

// TestFiguresAsScikitLearn compares every figure with that of scikit-learn, which is computed now if it is installed,
// and otherwise read from testdata.
func TestFiguresAsScikitLearn(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	var monitors []*drift.Monitor
	var samples []sample
	add := func(m *drift.Monitor, s sample) { monitors, samples = append(monitors, m), append(samples, s) }
	for seed := range uint64(6) {
		add(history(seed, 1+int(seed)*7, 40+int(seed)*150, .2+.13*float64(seed), serving.KindLabel))
	}
	add(history(7, 6, 300, .7, serving.KindSet))
	add(still([]string{"a"}, []string{"a"}))                                          // one item
	add(still([]string{"a"}, []string{"b"}))                                          // one item, wrong
	add(still([]string{"a", "a", "a"}, []string{"a", "a", "a"}))                      // one category, all right
	add(still([]string{"a", "b", "c"}, []string{"a", "b", "c"}))                      // all right
	add(still([]string{"a", "b", "c", "a"}, []string{"b", "c", "a", "d"}))            // all wrong
	add(still([]string{"a", "a", "b", "b"}, []string{"a", "a", "a", "a"}))            // always the same answer
	add(still([]string{"a", "a", "a"}, []string{"a", "b", "c"}))                      // categories that only answers have
	add(still([]string{"a", "b", "a", "rare"}, []string{"a", "b", "a", "unlabeled"})) // a category with one item

	for i, want := range sklearn(t, samples) {
		m := monitors[i]
		if err := m.Audit(); err != nil {
			t.Fatal(err)
		}
		r := m.Report(noon)
		what := func(figure string) string { return fmt.Sprintf("sample %d, %s", i, figure) }
		near(t, what("accuracy"), r.Accuracy, want.Accuracy, 1e-12)
		near(t, what("macro F1"), r.MacroF1, want.MacroF1, 1e-12)
		got := map[string]drift.Category{}
		for _, c := range r.Category {
			got[c.Name] = c
		}
		for k, name := range want.Names {
			c := got[name]
			near(t, what("precision of "+name), c.Precision, want.Precision[k], 1e-12)
			near(t, what("recall of "+name), c.Recall, want.Recall[k], 1e-12)
			near(t, what("F1 of "+name), c.F1, want.F1[k], 1e-12)
			if c.Support != want.Support[k] {
				t.Errorf("%s: %d, want %d", what("support of "+name), c.Support, want.Support[k])
			}
		}
		if len(r.Category) != len(want.Names) || r.Scored != len(samples[i].Truth) {
			t.Errorf("sample %d: %d categories, want %v; %d items, want %d", i, len(r.Category), want.Names, r.Scored,
				len(samples[i].Truth))
		}
		if samples[i].Sets {
			continue
		}
		near(t, what("balanced accuracy"), r.Balanced, want.Balanced, 1e-12)
		near(t, what("kappa"), r.Kappa, want.Kappa, 1e-12)
		near(t, what("MCC"), r.MCC, want.MCC, 1e-12)
		near(t, what("majority"), r.Majority, want.Majority, 1e-12)
		var cells []drift.Confused
		for row, counts := range want.Matrix {
			for column, n := range counts {
				if n > 0 {
					cells = append(cells, drift.Confused{Label: want.Names[row], Answer: want.Names[column], N: n})
				}
			}
		}
		confusion, _ := m.Confusion("label")
		if diff := cmp.Diff(cells, confusion); diff != "" {
			t.Errorf("sample %d: confusion (-want +got):\n%s", i, diff)
		}
	}
}

// sklearn runs scikit-learn, or reads the results that RETRAIND_UPDATE=1 stored.
func sklearn(t *testing.T, samples []sample) []reference {
	t.Helper()
	const stored = "testdata/figures.json"
	in, err := json.Marshal(samples)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(stored)
	if reason := noSklearn(); reason == "" {
		cmd := exec.Command(python, "testdata/figures.py")
		cmd.Stdin = bytes.NewReader(in)
		var complaint strings.Builder
		cmd.Stderr = &complaint
		if out, err = cmd.Output(); err != nil {
			t.Fatalf("scikit-learn: %v\n%s", err, complaint.String())
		}
		if os.Getenv("RETRAIND_UPDATE") == "1" {
			if err := os.WriteFile(stored, out, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		t.Logf("compared with %s: %s", stored, reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	var want []reference
	if err := json.Unmarshal(out, &want); err != nil || len(want) != len(samples) {
		t.Fatalf("%d references for %d samples, %v", len(want), len(samples), err)
	}
	return want
}

// noSklearn returns why scikit-learn cannot be run, or "".
func noSklearn() string {
	if os.Getenv("RETRAIND_NO_SKLEARN") != "" {
		return "RETRAIND_NO_SKLEARN is set"
	}
	if err := exec.Command(python, "-c", "import sklearn").Run(); err != nil {
		return "python3-sklearn is not installed"
	}
	return ""
}

// BenchmarkScikitLearn recomputes all figures with scikit-learn, for comparison with BenchmarkLabelChange.
func BenchmarkScikitLearn(b *testing.B) {
	for _, n := range []int{100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if reason := noSklearn(); reason != "" {
				b.Skip(reason)
			}
			out, err := exec.Command(python, "testdata/figures.py", fmt.Sprint(n)).Output()
			if err != nil {
				b.Fatal(err)
			}
			seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() { // measured by Python
			}
			b.ReportMetric(seconds*1e9, "ns/op")
		})
	}
}
