package gpugate

import (
	"testing"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/serving"
)

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
