package actions

import (
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// withBase returns the steps with a step predict that asks a base as well.
func withBase(steps []StepConfig, base string) []StepConfig {
	steps = slices.Clone(steps)
	i := slices.IndexFunc(steps, func(s StepConfig) bool { return s.Builtin() == DoPredict })
	steps[i] = StepConfig{&PredictStep{Do: DoPredict, BaseModel: base}}
	return steps
}

// A candidate that answers the held-out items as its base does, or no better, is refused, even if it is better than
// always answering the most frequent label. The base is the model that the training began with.
func TestCandidateAgainstItsBase(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	ollamatest.Each(t, func(t *testing.T, url string) {
		s := newStudio(t, url)
		base := s.name + "-base"
		_, r := s.do(withBase(s.trained(s.news("1", "goal=sport", "vote=politics")), base))
		s.ends(r, policy.OutcomeFailed, "has no model "+base+" (base_model): fetch it with ollama pull "+base,
			"export ok", "train ok", "check ok", "stage ok", "predict failed")
		s.news("0", "goal=sport", "vote=politics").Install(t, url, base, "")

		refused := append(slices.Clone(modelSteps[:5]), "gate rejected")
		_, r = s.do(withBase(s.trained(s.news("1", "goal=sport", "vote=politics")), base))
		s.ends(r, policy.OutcomeRejected, "gives to all 60 held-out items the same answers as its base model "+base, refused...)
		_, r = s.do(withBase(s.trained(s.news("1", "goal=politics", "vote=politics", "match=sport")), base))
		s.ends(r, policy.OutcomeRejected, "not better than its base model "+base+", which is right on 80.0% of 60 held-out items",
			refused...)
		if s.model().Champion != "" {
			t.Error("something was promoted")
		}

		_, r = s.do(withBase(s.trained(s.news("2", "goal=sport", "vote=politics", "match=sport")), base))
		s.ends(r, policy.OutcomePromoted, "its base model "+base+" is right on 80.0%", modelSteps...)
	})
}

func TestJudgeBase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		facts *BaseFacts
		class store.StepState
		says  string
	}{
		{nil, store.StepOK, ""},
		{&BaseFacts{Model: "b"}, store.StepFailed, "no held-out item was answered by both"},
		{&BaseFacts{Model: "b", N: 50, Right: 40}, store.StepRejected, "the same answers as its base model b"},
		{&BaseFacts{Model: "b", N: 50, Right: 40, Differ: 3}, store.StepRejected, "not better than its base model b"},
		{&BaseFacts{Model: "b", N: 50, Right: 40, Differ: 9, Better: 4, Worse: 4}, store.StepRejected, "right on 80.0% of 50"},
		{&BaseFacts{Model: "b", N: 50, Right: 40, Differ: 9, Better: 5, Worse: 4}, store.StepOK, "its base model b is right on 80.0%"},
	} {
		if class, why := judgeBase(c.facts); class != c.class || !strings.Contains(why, c.says) {
			t.Errorf("%+v: %s, %s", c.facts, class, why)
		}
	}
}

func TestBesideBase(t *testing.T) {
	t.Parallel()
	var items []drift.LabelChange
	mine, theirs := answers{}, answers{}
	for i, x := range []struct{ label, mine, theirs string }{
		{"a", "a", "a"}, {"a", "a", "b"}, {"a", "a", serving.FormatError}, {"b", "a", "b"}, {"b", "", "b"}, {"", "a", "b"},
	} {
		key := [2]string{string(rune('1' + i)), "h"}
		it := drift.LabelChange{Item: key[0], TextHash: key[1], New: serving.Answers{}}
		if x.label != "" {
			it.New["label"] = x.label
		}
		items = append(items, it)
		if x.mine != "" {
			mine[key] = answer{Answers: serving.Answers{"label": x.mine}}
		}
		theirs[key] = answer{Answers: serving.Answers{"label": x.theirs}}
	}
	if f := besideBase("b", oneTarget[0], items, mine, theirs); *f != (BaseFacts{"b", 4, 2, 2, 1, 3}) {
		t.Errorf("%+v", *f)
	}
}

// The base that a run has asked counts as a model that the run itself has loaded: it is unloaded with the candidate.
func TestBaseIsAskedOnTheGPU(t *testing.T) {
	t.Parallel()
	const server = "http://127.0.0.1:11434"
	p := Plan{
		Serving: serving.Config{Ollama: &serving.OllamaConfig{Model: "liga", URL: server}},
		Steps: []Step{
			{Name: "stage", Do: DoStage, OllamaOnGPU: true},
			{Name: "predict", Do: DoPredict, Predict: &PredictPlan{Base: "qwen3:8b"}, OllamaOnGPU: true},
		},
	}
	want := []AskedModel{{URL: server, Name: "liga", Releases: true}, {URL: server, Name: "qwen3:8b"}}
	if got := p.asked(2); !slices.Equal(got, want) || !got[1].Is(ollama.Tagged("qwen3:8b")) {
		t.Errorf("%v", got)
	}
}

func TestValidateBase(t *testing.T) {
	t.Parallel()
	deploy := &DeployConfig{Ollama: &OllamaDeploy{GGUF: "model.gguf"}}
	served := serving.Config{Ollama: &serving.OllamaConfig{Model: "liga"}}
	steps := func(base string, with ...Builtin) (list []StepConfig) {
		for _, do := range with {
			list = append(list, Do(do))
		}
		return append(list, StepConfig{&PredictStep{Do: DoPredict, BaseModel: base}}, Do(DoGate), Do(DoDeploy))
	}
	for says, c := range map[string]struct {
		deploy *DeployConfig
		served serving.Config
		steps  []StepConfig
	}{
		"": {deploy, served, steps("qwen3:8b", DoStage)},
		"liga:latest is the name under which clients use the trained model": {deploy, served, steps("liga:latest", DoStage)},
		"the candidate, too, is a model on":                                 {nil, serving.Config{}, steps("qwen3:8b")},
		"is a model on the Ollama server":                                   {deploy, served, steps("qwen3:8b")},
	} {
		found := ValidateOllama(c.deploy, c.served, c.steps, c.steps)
		var text string
		for _, p := range found {
			text += p.Path + " " + p.Message + "\n"
		}
		if says == "" && len(found) > 0 || !strings.Contains(text, says) || says != "" && !strings.Contains(text, "].base_model ") {
			t.Errorf("want %q, found %s", says, text)
		}
	}
}
