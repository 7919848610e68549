package actions

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// studio is a world whose service is a model on an Ollama server, and whose trainings write model files.
type studio struct {
	*world
	url, name string
	config    serving.Config
	client    *ollama.Client
}

func newStudio(t *testing.T, url string) *studio {
	t.Helper()
	w := newWorld(t)
	s := &studio{world: w, url: url, name: ollamatest.Name(t), client: ollamatest.Client(t, url)}
	s.config = serving.Config{
		Ollama: &serving.OllamaConfig{
			Model: s.name, URL: url, System: "Say what a text is about.", Template: ollamatest.Template,
			Format: json.RawMessage(
				`{"type":"object","properties":{"label":{"type":"string","enum":["politics","sport"]}},"required":["label"]}`,
			),
		},
		Concurrency: 2,
	}.WithDefaults()
	w.deploy = &DeployConfig{Ollama: &OllamaDeploy{
		GGUF: "model.gguf", Parameters: map[string]serving.Option{"num_thread": "1", "temperature": "0"},
	}}
	w.promote.VerifyWithin = unit.Duration(2 * time.Second)
	w.source.list = nil
	w.update(func(tx *store.Tx) error {
		for i := range 260 {
			word, label := "goal", "sport"
			switch i % 5 {
			case 0, 1:
				word, label = "vote", "politics"
			case 2:
				word = "match"
			}
			text := map[string]string{"title": fmt.Sprintf("%s of day %d", word, i)}
			r := Row{Item: watch.Item{ID: fmt.Sprint(i), Text: text, Labels: map[string]string{"label": label}}}
			r.Group, r.Side = drift.GroupHash(text["title"]), drift.SideTrain
			if i < 60 {
				r.Side = drift.SideTest
			}
			w.source.list = append(w.source.list, r)
			if err := tx.PutItems("m", store.Item{
				ID: r.ID, Heldout: i < 60, Group: r.Group, TextHash: drift.TextHash(text), Text: text, Labels: r.Labels, At: sealedAt,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

// news returns a classifier for words given as word=label; it answers politics for any other word.
func (s *studio) news(version string, words ...string) ollamatest.Classifier {
	c := ollamatest.Classifier{Words: map[string][]string{}, Else: []string{"politics"}, Version: s.name + version}
	for _, w := range words {
		word, label, _ := strings.Cut(w, "=")
		c.Words[word] = []string{label}
	}
	return c
}

// trained returns a pipeline whose training writes the classifier's file; more steps are inserted between deploy and
// verify.
func (s *studio) trained(c ollamatest.Classifier, more ...StepType) []StepConfig {
	s.t.Helper()
	train := sh("train", "cp "+c.File(s.t)+" $RETRAIND_RELEASE_DIR/model.gguf")
	train.Kind = KindPure
	steps := []StepConfig{
		{&ExportStep{Do: DoExport, Format: FormatChat}},
		{train},
		{&CheckStep{Do: DoCheck, GGUF: "$RETRAIND_RELEASE_DIR/model.gguf"}},
		Do(DoStage), Do(DoPredict), Do(DoGate), Do(DoDeploy),
	}
	for _, step := range more {
		steps = append(steps, StepConfig{step})
	}
	return append(steps, Do(DoVerify))
}

func (s *studio) do(steps []StepConfig) (Plan, store.Run) {
	s.t.Helper()
	s.runs++
	p := s.plan(steps)
	p.Serving = s.config
	MarkOllama(p.Steps, p.Serving, p.Stop)
	s.add(p)
	s.handOver(p)
	return p, s.await(p)
}

// named returns the release in the server's health answer.
func (s *studio) named() string {
	s.t.Helper()
	scorer := serving.NewScorer(s.config)
	defer scorer.Close()
	h, err := scorer.Health(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return h.Release
}

var modelSteps = []string{
	"export ok",
	"train ok",
	"check ok",
	"stage ok",
	"predict ok",
	"gate ok",
	"deploy ok",
	"verify ok",
}

// Language models: a first release, a better one, a worse one, and one whose name is changed by hand before its
// verification, so that the former one is restored.
func TestOllamaRuns(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	ollamatest.Each(t, func(t *testing.T, url string) {
		s := newStudio(t, url)
		p, r := s.do(s.trained(s.news("1", "goal=sport", "vote=politics")))
		s.ends(r, policy.OutcomePromoted, "first release: 80.0% of 60 held-out items right", modelSteps...)
		first := s.model().Champion
		if s.named() != first {
			t.Errorf("%s serves, the champion is %s", s.named(), first)
		}
		if _, err := os.Stat(filepath.Join(p.releaseDir(), predictionsFile)); err == nil {
			t.Error("the answers are part of the release")
		}
		info, err := s.client.Show(t.Context(), s.name)
		if err != nil || info.System != "Say what a text is about." || !strings.Contains(info.Parameters, "num_thread") {
			t.Errorf("%+v, %v", info, err)
		}

		promoted, r := s.do(s.trained(s.news("2", "goal=sport", "vote=politics", "match=sport")))
		s.ends(r, policy.OutcomePromoted, "candidate 100.0%, champion 80.0%", modelSteps...)
		second := s.model().Champion
		if s.named() != second || s.model().Previous != first {
			t.Errorf("%s serves, the champion is %s", s.named(), second)
		}

		// The name that clients use is changed by hand, and the release's own name is deleted: `retraind models redeploy`
		// creates the latter again from the release's files, and switches to it.
		if err := s.client.Copy(t.Context(), ollama.ReleaseTag(s.name, first), s.name); err != nil {
			t.Fatal(err)
		}
		if err := s.client.Delete(t.Context(), ollama.ReleaseTag(s.name, second)); err != nil {
			t.Fatal(err)
		}
		if s.named() == second {
			t.Fatal("it was not moved")
		}
		s.runs++
		back := PlanRedeploy(promoted, second, "something else serves")
		back.Run, back.Champion, back.Created = fmt.Sprintf("run%04d", s.runs), second, now()
		back.RunDir = filepath.Join(s.dir, "runs", back.Run)
		s.add(back)
		s.handOver(back)
		s.ends(s.await(back), policy.OutcomePromoted, "something else serves", "undo deploy ok", "prove ok")
		if s.named() != second {
			t.Errorf("%s serves after a redeploy", s.named())
		}

		_, r = s.do(s.trained(s.news("3", "goal=politics", "vote=sport", "match=sport")))
		s.ends(r, policy.OutcomeRejected, "category", append(slices.Clone(modelSteps[:5]), "gate rejected")...)
		if s.named() != second {
			t.Errorf("%s serves after a rejected one", s.named())
		}

		byHand := sh(
			"hand",
			`curl -sf `+url+`/api/copy -d '{"source":"`+ollama.ReleaseTag(s.name, first)+`","destination":"`+s.name+`"}'`,
		)
		byHand.Undo = []string{"true"}
		_, r = s.do(s.trained(s.news("4", "goal=sport", "vote=politics", "match=sport", "day=sport"), byHand))
		s.ends(r, policy.OutcomeRolledBack, "", append(slices.Clone(modelSteps[:7]),
			"hand ok", "verify not_proved", "undo deploy ok", "undo hand ok", "prove ok")...)
		if s.named() != second || s.model().Hold != "" {
			t.Errorf("%s serves, %q", s.named(), s.model().Hold)
		}
	})
}
