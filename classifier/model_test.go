package classifier_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/classifier"
)

func TestTrainLearns(t *testing.T) {
	t.Parallel()
	var seen []classifier.Progress
	m, metrics, err := classifier.Train(examples(1, 600), classifier.Options{Seed: 1},
		func(p classifier.Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if a := accuracy(m, examples(2, 300)); a < .97 {
		t.Errorf("accuracy %.3f on new texts", a)
	}
	if diff := cmp.Diff([]string{"Kultur", "Netz", "Sport"}, m.Categories()); diff != "" {
		t.Error(diff)
	}
	if metrics.Examples != 600 || len(metrics.Categories) != 3 || metrics.Fit < .9 || metrics.Loss <= 0 {
		t.Errorf("%+v", metrics)
	}
	phases := map[string]int{}
	for i, p := range seen {
		phases[p.Phase]++
		if i > 0 && float64(p.Epoch)/float64(p.Epochs) <= float64(seen[i-1].Epoch)/float64(seen[i-1].Epochs) {
			t.Errorf("no progress from %+v to %+v", seen[i-1], p)
		}
	}
	if last := seen[len(seen)-1]; last.Epoch != last.Epochs || phases["vectorize"] != 1 || phases["validate"] < 2 ||
		phases["train"] != metrics.Epochs {
		t.Errorf("progress %+v", seen)
	}
}

func TestSameSeedSameModel(t *testing.T) {
	t.Parallel()
	list := examples(1, 400)
	file := func(seed uint64) []byte {
		dir := t.TempDir()
		if err := train(t, seed, list).Save(dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, classifier.FileName))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := file(1)
	if !bytes.Equal(a, file(1)) {
		t.Error("two trainings with one seed differ")
	}
	if bytes.Equal(a, file(2)) {
		t.Error("the seed has no effect")
	}
}

// TestCoresDoNotMatter trains in child processes with different numbers of cores. A child runs this test with a
// directory in its environment.
func TestCoresDoNotMatter(t *testing.T) {
	t.Parallel()
	const name = "RETRAIND_TEST_MODEL_DIR"
	if dir := os.Getenv(name); dir != "" {
		if err := train(t, 1, examples(1, 400)).Save(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	var first []byte
	for _, cores := range []string{"1", "2", "7"} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run", "^TestCoresDoNotMatter$")
		cmd.Env = append(os.Environ(), name+"="+dir, "GOMAXPROCS="+cores)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, classifier.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("on %s cores another model", cores)
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	t.Parallel()
	one := examples(1, 20)
	for i := range one {
		one[i].Labels = map[string]string{"label": "only"}
	}
	missing := examples(1, 20)
	missing[7].Labels = nil
	for want, list := range map[string][]classifier.Example{
		"is the export empty?":                     nil,
		`all 20 examples have the label "only"`:    one,
		`item "i7" has no label of target "label"`: missing,
	} {
		if _, _, err := classifier.Train(list, classifier.Options{}, nil); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	m, dir := train(t, 3, examples(1, 300)), t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := classifier.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Seed != 3 || again.Examples != 300 || len(again.Heads) != 1 {
		t.Errorf("seed %d, examples %d, heads %d", again.Seed, again.Examples, len(again.Heads))
	}
	for _, e := range examples(9, 50) {
		label, confidence, probs := m.Predict(e.Text)
		l, c, p := again.Predict(e.Text)
		if label != l || confidence != c || !cmp.Equal(probs, p) {
			t.Fatalf("%s %v and %s %v", label, confidence, l, c)
		}
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := train(t, 1, examples(1, 60)).Save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, classifier.FileName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	version := bytes.Clone(good)
	version[8] = 9
	for name, c := range map[string]struct {
		data    []byte
		says    string
		damaged bool
	}{
		"empty":         {nil, "too few", true},
		"cut off":       {good[:len(good)-100], "checksum", true},
		"half":          {good[:len(good)/2], "checksum", true},
		"one bit":       {flipped, "checksum", true},
		"another file":  {bytes.Repeat([]byte("PK"), 500), "is not a model file", true},
		"other version": {version, "format 9", false},
		"longer":        {append(bytes.Clone(good), 0), "checksum", true},
	} {
		write(t, path, string(c.data))
		m, err := classifier.Load(dir)
		if m != nil || err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, classifier.ErrCorrupt) != c.damaged {
			t.Errorf("%s: ErrCorrupt is %v", name, !c.damaged)
		}
	}
	if _, err := classifier.Load(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAnyTextIsClassified(t *testing.T) {
	t.Parallel()
	m := train(t, 1, examples(1, 100))
	check := func(t interface {
		Helper()
		Fatalf(string, ...any)
	}, fields map[string]string,
	) {
		t.Helper()
		label, confidence, probs := m.Predict(fields)
		sum := 0.0
		for _, p := range probs {
			if math.IsNaN(p) || p < 0 {
				t.Fatalf("probabilities %v", probs)
			}
			sum += p
		}
		if math.Abs(sum-1) > 1e-9 || label == "" || confidence < 1./3-1e-9 {
			t.Fatalf("%q %v, sum %v", label, confidence, sum)
		}
	}
	for _, text := range []string{
		"", " ", "\xff\xfe", "日本語のテキスト", strings.Repeat("wort ", 2<<20),
		strings.Repeat("x", 1<<20), strings.Repeat("\u0301", 1000),
	} {
		check(t, map[string]string{"content": text})
	}
	check(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		check(t, map[string]string{"title": rapid.String().Draw(t, "title"), "content": rapid.String().Draw(t, "content")})
	})
}

func TestFieldsCountInAnyOrderAndForm(t *testing.T) {
	t.Parallel()
	m := train(t, 1, examples(1, 300))
	_, _, a := m.Predict(map[string]string{"title": "Stürmer", "content": "Ein TOR am Montag"})
	_, _, b := m.Predict(map[string]string{"content": "ein Tor, am montag!", "title": "stu\u0308rmer"}) // decomposed umlaut
	if !cmp.Equal(a, b) {
		t.Errorf("%v and %v", a, b)
	}
}

func TestPredictFromManyGoroutines(t *testing.T) {
	t.Parallel()
	m, list := train(t, 1, examples(1, 200)), examples(5, 100)
	want := make([]float64, len(list))
	for i, e := range list {
		_, want[i] = m.Classify(e.Text)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, e := range list {
				if _, c := m.Classify(e.Text); c != want[i] {
					t.Errorf("text %d: %v, alone %v", i, c, want[i])
				}
			}
		})
	}
	wg.Wait()
}
