package classifier_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/serving"
)

// service returns n lines like the export of a service with three answers: relevant (bool), priority (label, often
// null), aks (set). For each member of aks, such as klima, the text has a word, such as klimapolitik.
func service(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	for i := range n {
		var words []string
		for range 8 {
			words = append(words, fmt.Sprint("wort", rng.IntN(40)))
		}
		aks := []string{}
		for _, ak := range []string{"klima", "verkehr", "wohnen"} {
			if rng.IntN(3) == 0 {
				aks = append(aks, ak)
				words = append(words, ak+"politik")
			}
		}
		relevant := rng.IntN(2) == 0
		if relevant {
			words = append(words, "beschluss")
		}
		labels := map[string]any{"relevant": relevant, "aks": aks, "priority": nil}
		if rng.IntN(2) == 0 {
			labels["priority"] = []string{"high", "low"}[i%2]
			words = append(words, []string{"eilig", "später"}[i%2])
		}
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		line, err := json.Marshal(map[string]any{
			"id":   fmt.Sprint(i),
			"text": map[string]string{"content": strings.Join(words, " ")}, "labels": labels,
		})
		if err != nil {
			panic(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestSeveralTargets(t *testing.T) {
	t.Parallel()
	data, site := t.TempDir(), newSite(t)
	write(t, filepath.Join(data, classifier.TrainFile), service(1, 500))
	write(t, filepath.Join(data, classifier.TestFile), service(2, 200))
	release := filepath.Join(site.root, "releases", "one")
	metrics, err := classifier.TrainDir(data, release, classifier.Options{Seed: 1, Target: "relevant"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	priority, aks := metrics.Others["priority"], metrics.Others["aks"]
	if metrics.Kind != serving.KindBool || metrics.Accuracy < .95 || priority.Kind != serving.KindLabel ||
		priority.Accuracy < .95 ||
		aks.Kind != serving.KindSet || aks.Accuracy < .9 || aks.MacroF1 < .95 || len(aks.Categories) != 3 {
		t.Errorf("%+v", metrics)
	}
	if metrics.TestItems != 200 || priority.TestItems >= 150 || priority.TestItems == 0 || priority.Examples >= 400 {
		t.Errorf("items without a priority count for it: %+v", priority)
	}

	targets := []serving.Target{
		{Name: "relevant", Kind: serving.KindBool},
		{Name: "priority"},
		{Name: "aks", Kind: serving.KindSet},
	}
	write(t, filepath.Join(release, classifier.ReleaseFile), `{"digest":"sha256:one"}`)
	site.point("one")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	code, body := ask(t, s, "POST", "/classify",
		`{"content":"wort1 wohnenpolitik beschluss wort3 eilig klimapolitik wort9"}`)
	got, confidence, err := serving.ParseAnswer(targets, []byte(body))
	if err != nil || code != 200 {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if diff := cmp.Diff(serving.Answers{"relevant": "true", "priority": "high", "aks": `["klima","wohnen"]`},
		got); diff != "" || confidence < .5 {
		t.Errorf("confidence %v of %s: %s", confidence, body, diff)
	}
	if !strings.Contains(body, `"label":"true"`) || !strings.Contains(body, `"release":"sha256:one"`) ||
		!strings.Contains(body, `"aks_confidence":0.`) {
		t.Errorf("%s", body)
	}
	_, batch := ask(t, s, "POST", "/classify/batch",
		`{"items":[{"content":"wort2"},{"content":"wort1 wohnenpolitik beschluss wort3 eilig klimapolitik wort9"}]}`)
	if !strings.HasSuffix(strings.TrimSpace(batch), ","+strings.TrimSpace(body)+"]}") {
		t.Errorf("a single request and a batch differ: %s and %s", body, batch)
	}
	if _, health := ask(t, s, "GET", "/health", ""); !strings.Contains(health, `"targets":["relevant","aks","priority"]`) {
		t.Error(health)
	}

	var first classifier.Prediction
	b, err := os.ReadFile(filepath.Join(release, classifier.PredictionsFile))
	line, _, _ := strings.Cut(string(b), "\n")
	if err != nil || json.Unmarshal([]byte(line), &first) != nil || len(first.Answers) != 3 || !(first.Confidence > 0) {
		t.Errorf("%s %v", line, err)
	}
}

func TestTargetsThatCannotBeLearnt(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var lines []string
	for i, e := range examples(1, 60) {
		lines = append(lines, fmt.Sprintf(`{"id":"%d","text":{"t":"%s"},"labels":{"label":"%s","same":true,"none":[],"id":"%d","mixed":%s}}`,
			i, e.Text["content"], e.Labels["label"], i, []string{`true`, `"unknown"`}[i%2]))
	}
	write(t, filepath.Join(data, classifier.TrainFile), strings.Join(lines, "\n"))
	m, err := classifier.TrainDir(data, t.TempDir(), classifier.Options{Epochs: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var learnt []string
	for name := range m.Others {
		learnt = append(learnt, name)
	}
	slices.Sort(learnt)
	if diff := cmp.Diff([]string{"id", "mixed"}, learnt); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(m.Skipped["same"], `have the label "true"`) ||
		!strings.Contains(m.Skipped["none"], "empty sets") ||
		m.Others["mixed"].Kind != serving.KindLabel {
		t.Errorf("%v, mixed is a %s", m.Skipped, m.Others["mixed"].Kind)
	}
	write(t, filepath.Join(data, classifier.TestFile),
		`{"id":"1","text":{"t":"x"},"labels":{"label":"Sport","same":["true"]}}`)
	if _, err := classifier.TrainDir(data, t.TempDir(), classifier.Options{}, nil); err == nil ||
		!strings.Contains(err.Error(), `test.jsonl:1: the label of target "same" of item "1" has kind set, but labels before it have kind bool`) {
		t.Error(err)
	}
}
