package actions

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
)

func TestMarkOllama(t *testing.T) {
	t.Parallel()
	const local, remote = "http://127.0.0.1:11434", "http://gpu-host:11434"
	steps := func(server string) []Step {
		return []Step{
			{Name: "export", Do: DoExport},
			{Name: "label", Do: DoLabel, Label: &LabelPlan{Ollama: serving.OllamaConfig{Model: "big", URL: server}}},
			{Name: "train", GPU: true},
			{Name: "stage", Do: DoStage},
			{Name: "predict", Do: DoPredict, Predict: &PredictPlan{}},
			{Name: "url", Do: DoPredict, Predict: &PredictPlan{URL: "http://127.0.0.1:1/"}},
			{Name: "command", Do: DoPredict, Argv: []string{"x"}},
			{Name: "deploy", Do: DoDeploy, Ollama: &OllamaDeploy{}},
			{Name: "verify", Do: DoVerify},
		}
	}
	unit := []gpu.StopConfig{{Unit: "x.service"}}
	byOllama := func(server string) []gpu.StopConfig {
		return []gpu.StopConfig{{Ollama: []string{"all"}, Server: server}}
	}
	all := []string{"label", "stage", "predict"}
	for _, c := range []struct {
		name, server string
		stop         []gpu.StopConfig
		want         []string
	}{
		{"nothing to stop, and a step needs the GPU", local, nil, all},
		{"a server of this host", local, unit, all},
		{"by its name", "http://localhost:11434", unit, all},
		{"a server of another host", remote, unit, nil},
		{"another server is named", remote, byOllama(local), nil},
		{"a server that is named", remote, byOllama(remote), all},
	} {
		p := Plan{Steps: steps(c.server), Serving: serving.Config{Ollama: &serving.OllamaConfig{Model: "liga", URL: c.server}}}
		MarkOllama(p.Steps, p.Serving, c.stop)
		var got []string
		for _, s := range p.Steps {
			if s.OllamaOnGPU {
				got = append(got, s.Name)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if c.want == nil {
			continue
		}
		big, liga := AskedModel{URL: c.server, Name: "big"}, AskedModel{URL: c.server, Name: "liga", Releases: true}
		for before, want := range [][]AskedModel{nil, nil, {big}, {big}, {big, liga}, {big, liga}} {
			if diff := cmp.Diff(want, p.asked(before)); diff != "" {
				t.Errorf("%s: before step %d: %s", c.name, before, diff)
			}
		}
		p.Parent = &Parent{Carry: []string{"label"}}
		if diff := cmp.Diff([]AskedModel{liga}, p.asked(5)); diff != "" {
			t.Errorf("%s: a step that was not done: %s", c.name, diff)
		}
	}
	alone := []Step{{Do: DoLabel, Label: &LabelPlan{Ollama: serving.OllamaConfig{Model: "big", URL: local}}}}
	if MarkOllama(alone, serving.Config{}, nil); alone[0].OllamaOnGPU {
		t.Error("a model without a GPU part waits for one")
	}
	liga := AskedModel{Name: "liga", Releases: true}
	if !liga.Is("liga:r-12ab") || liga.Is("liga:latest") || liga.Is("liga2:r-12ab") || !(AskedModel{Name: "big"}).Is("big:latest") {
		t.Error("names of models")
	}
}

// recordingGPU is always free, and records the calls. A run calls it from one goroutine at a time.
type recordingGPU struct {
	frees   map[string]int // by step
	watched []string       // step and device
	leased  []string       // steps that ask Ollama
	unloads []AskedModel   // at the end
}

func (g *recordingGPU) Acquire(_ context.Context, s GPUStep) (GPUGrant, error) {
	if s.ByOllama {
		lease, err := os.Open(os.DevNull)
		g.leased = append(g.leased, s.Step)
		return GPUGrant{Lease: lease}, err
	}
	return GPUGrant{Env: map[string]string{deviceVar: "GPU-1"}}, nil
}

func (g *recordingGPU) Watch(_ context.Context, w GPUWatch) func(bool) GPUUse {
	g.watched = append(g.watched, w.Step+" "+w.Device)
	return func(bool) GPUUse { return GPUUse{} }
}

func (g *recordingGPU) Free(_ context.Context, s GPUStep, _ Room) (string, error) {
	g.frees[s.Step]++
	return "nothing", nil
}

func (g *recordingGPU) Restore(_ context.Context, _ GPUStep, asked []AskedModel, _ bool) (string, error) {
	g.unloads = asked
	return "nothing", nil
}

// A run of a language model holds the GPU from the training to the candidate's answers. Free is called before each step
// of this part, and steps that ask models are watched without a device.
func TestRunKeepsTheGPUForOllama(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	s := newStudio(t, ollamatest.NewFake(t).URL)
	s.gpuStop = []gpu.StopConfig{{Unit: "tagger.service"}}
	fake := recordingGPU{frees: map[string]int{}}
	s.executor.GPU = &fake
	steps := s.trained(s.news("1", "goal=sport", "vote=politics"))
	steps[1].Command().GPU = true
	_, r := s.do(steps)
	s.ends(r, policy.OutcomePromoted, "first release", "export ok", "free ok", "train ok", "check ok", "stage ok", "predict ok",
		"restore ok", "gate ok", "deploy ok", "verify ok")
	if diff := cmp.Diff(map[string]int{"train": 2, "stage": 1, "predict": 1}, fake.frees); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"train GPU-1", "stage ", "predict "}, fake.watched); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"stage", "predict"}, fake.leased); diff != "" {
		t.Error(diff)
	}
	want := []AskedModel{{URL: s.url, Name: s.name, Releases: true}}
	if !slices.Equal(want, fake.unloads) {
		t.Errorf("unloaded at the end: %v", fake.unloads)
	}
}
