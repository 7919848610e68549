package classifier_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
)

func TestTrainDir(t *testing.T) {
	t.Parallel()
	data, release := t.TempDir(), filepath.Join(t.TempDir(), "releases", "r1")
	test := examples(2, 120)
	writeLines(t, filepath.Join(data, classifier.TrainFile), examples(1, 400))
	writeLines(t, filepath.Join(data, classifier.TestFile), test)
	metrics, err := classifier.TrainDir(data, release, classifier.Options{Seed: 1, Epochs: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.Load(release)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(release, classifier.PredictionsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, right := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var p classifier.Prediction
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		e := test[n]
		label, confidence := m.Classify(e.Text)
		if p.ID != e.ID || p.TextHash != drift.TextHash(e.Text) || p.Answers["label"] != label || p.Confidence != confidence {
			t.Fatalf("%+v, but the saved model says %s %v of %s", p, label, confidence, e.ID)
		}
		if label == e.Labels["label"] {
			right++
		}
	}
	if n != 120 || metrics.TestItems != 120 || metrics.TestRight != right || metrics.Accuracy != float64(right)/120 ||
		metrics.MacroF1 < .9 {
		t.Errorf("%d predictions, %d right, %+v", n, right, metrics)
	}
	var stored classifier.Metrics
	b, err := os.ReadFile(filepath.Join(release, classifier.MetricsFile))
	if err != nil || json.Unmarshal(b, &stored) != nil || stored.Accuracy != metrics.Accuracy {
		t.Errorf("%s: %v", b, err)
	}
}

func TestTrainDirWithoutTest(t *testing.T) {
	t.Parallel()
	data, release := t.TempDir(), t.TempDir()
	writeLines(t, filepath.Join(data, classifier.TrainFile), examples(1, 60))
	metrics, err := classifier.TrainDir(data, release, classifier.Options{Epochs: 3}, nil)
	if err != nil || metrics.TestItems != 0 || metrics.Accuracy != 0 {
		t.Errorf("%+v, %v", metrics, err)
	}
	if b, err := os.ReadFile(filepath.Join(release, classifier.PredictionsFile)); err != nil || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
}

func TestTrainDirRefuses(t *testing.T) {
	t.Parallel()
	line := `{"id":"1","text":{"title":"x"},"labels":{"label":"a"}}` + "\n"
	for name, c := range map[string]struct{ train, test, says string }{
		"empty export":    {"", "", "train.jsonl is empty: the export wrote no item"},
		"blank lines":     {"\n\n", "", "is empty"},
		"one category":    {strings.Repeat(line, 3), "", `all 3 examples have the label "a"`},
		"unreadable line": {line + line + "{nonsense\n", "", "train.jsonl:3: "},
		"half a line":     {line + `{"id":"2","text":{"ti`, "", "train.jsonl:2: "},
		"missing label": {
			line + `{"id":"2","text":{"title":"x"},"labels":{"other":"a"}}`, "",
			`train.jsonl:2: item "2" has no label of target "label"`,
		},
		"no labels":      {line + `{"id":"2","text":{"title":"x"}}`, "", `train.jsonl:2: item "2" has no label`},
		"no id":          {`{"text":{"title":"x"},"labels":{"label":"a"}}`, "", "train.jsonl:1: the item has no id"},
		"no text":        {`{"id":"1","labels":{"label":"a"}}`, "", `train.jsonl:1: item "1" has no text`},
		"text of a kind": {`{"id":"1","text":"x","labels":{"label":"a"}}`, "", "train.jsonl:1: "},
		"bad test":       {line + strings.ReplaceAll(line, `"a"`, `"b"`), line + "]", "test.jsonl:2: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, release := t.TempDir(), filepath.Join(t.TempDir(), "r")
			write(t, filepath.Join(data, classifier.TrainFile), c.train)
			if c.test != "" {
				write(t, filepath.Join(data, classifier.TestFile), c.test)
			}
			_, err := classifier.TrainDir(data, release, classifier.Options{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not contain %q", err, c.says)
			}
			if _, err := os.Stat(filepath.Join(release, classifier.FileName)); err == nil {
				t.Error("a model was written in spite of the error")
			}
		})
	}
	if _, err := classifier.TrainDir(t.TempDir(), t.TempDir(), classifier.Options{}, nil); err == nil ||
		!strings.Contains(err.Error(), "train.jsonl") {
		t.Errorf("without an export: %v", err)
	}
}
