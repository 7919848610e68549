package gpugate

import (
	"testing"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// After a step that stops nothing, requests are allowed, even if a reload has added gpu.stop meanwhile. During a step
// that stops models, none is allowed, even if a reload has removed gpu.stop.
func TestBarredDuringAStep(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	const url = "http://127.0.0.1:11434"
	stop := []gpu.StopConfig{{Ollama: unit.List{gpu.AllModels}, Server: url}}
	m := g.o.File().Models["m"]
	m.Serving.Ollama = &serving.OllamaConfig{URL: url}
	for _, c := range []struct {
		name          string
		inForce, plan []gpu.StopConfig
	}{{"added", stop, nil}, {"removed", nil, stop}} {
		m.GPU = &gpu.Config{Stop: c.inForce}
		step := actions.GPUStep{Model: "m", Run: "run1", Step: "train"}
		g.lend(step.Run, c.plan)
		end := g.Watch(t.Context(), actions.GPUWatch{GPUStep: step, Freed: c.plan})
		if barred := g.Barred("m"); (barred != "") != (c.plan != nil) {
			t.Errorf("%s: during the step: %q", c.name, barred)
		}
		end(true)
		if c.plan != nil {
			g.lend(step.Run, nil) // by Restore
		}
		if barred := g.Barred("m"); barred != "" {
			t.Errorf("%s: after the step: %s", c.name, barred)
		}
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	container := ledger.Thing{Container: &ledger.Container{ID: "c1", Ports: []int{8082}}}
	unit := ledger.Thing{Unit: &ledger.Unit{Name: "x.service"}, Healthy: "http://gpu-host/health"}
	loaded := ledger.Thing{Loaded: &ledger.Loaded{URL: "http://127.0.0.1:11434", Name: "liga"}}
	for _, c := range []struct {
		name  string
		thing ledger.Thing
		conf  serving.Config
		want  bool
	}{
		{"its port", container, serving.Config{Classify: "http://127.0.0.1:8082/classify"}, true},
		{"its port by name", container, serving.Config{Classify: "http://localhost:8082/classify"}, true},
		{"its port of another host", container, serving.Config{Classify: "http://10.0.0.9:8082/classify"}, false},
		{"another port", container, serving.Config{Classify: "http://127.0.0.1:8083/classify"}, false},
		{"no URL", container, serving.Config{}, false},
		{"its health", unit, serving.Config{Classify: "http://gpu-host:80/classify"}, true},
		{"another scheme", unit, serving.Config{Classify: "https://gpu-host/classify"}, false},
		{"its server", loaded, serving.Config{Ollama: &serving.OllamaConfig{URL: "http://127.0.0.1:11434"}}, true},
		{"another server", loaded, serving.Config{Ollama: &serving.OllamaConfig{URL: "http://gpu-host:11434"}}, false},
	} {
		if got := serves(c.thing, c.conf); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}
