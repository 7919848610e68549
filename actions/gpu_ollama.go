package actions

import (
	"net"
	"net/url"
	"slices"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
)

// AskedModel is a model on an Ollama server that a step of a run asks, and so loads.
type AskedModel struct {
	URL  string
	Name string
	// Releases means that Name is the name that clients use, but the step queries one of its releases under the
	// release's name.
	Releases bool
}

// Is reports whether a loaded model of this name, as listed by the server, is this model.
func (m AskedModel) Is(name string) bool {
	if m.Releases {
		_, ok := ollama.ReleaseOf(m.Name, name)
		return ok
	}
	return ollama.Tagged(m.Name) == ollama.Tagged(name)
}

// MarkOllama sets OllamaOnGPU for the steps that ask an Ollama server which computes on the run's GPU. That is a server
// at a loopback address, or a server listed in the parameter stop (gpu.stop). No step is marked unless the run stops
// something for the GPU or has a step that needs it. The step deploy is never marked, because the deployed model is
// asked after everything runs again.
func MarkOllama(steps []Step, c serving.Config, stop []gpu.StopConfig) {
	onGPU := len(stop) > 0 || slices.ContainsFunc(steps, func(s Step) bool { return s.GPU })
	for i, s := range steps {
		m, ok := s.asks(c)
		steps[i].OllamaOnGPU = ok && onGPU && (loopback(m.URL) ||
			slices.ContainsFunc(stop, func(c gpu.StopConfig) bool { return len(c.Ollama) > 0 && c.Server == m.URL }))
	}
}

// asks returns the model of an Ollama server that a step asks.
func (s Step) asks(c serving.Config) (AskedModel, bool) {
	switch {
	case s.Label != nil:
		return AskedModel{URL: s.Label.Ollama.URL, Name: s.Label.Ollama.Model}, true
	case c.Ollama == nil:
	case s.Do == DoStage, s.Do == DoPredict && s.Predict != nil && s.Predict.URL == "":
		return AskedModel{URL: c.Ollama.URL, Name: c.Ollama.Model, Releases: true}, true
	}
	return AskedModel{}, false
}

func loopback(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// asked lists the models on the GPU that the steps before the given one have asked. A step whose result was reused from
// another run has asked none.
func (p Plan) asked(before int) (list []AskedModel) {
	for _, s := range p.Steps[:before] {
		carried := p.Parent != nil && slices.Contains(p.Parent.Carry, s.Name)
		m, ok := s.asks(p.Serving)
		if !ok || !s.OllamaOnGPU || carried {
			continue
		}
		models := []AskedModel{m}
		if s.asksBase(p.Serving) {
			models = append(models, AskedModel{URL: m.URL, Name: s.Predict.Base})
		}
		for _, m := range models {
			if !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
	}
	return list
}

// begunSteps returns the number of steps that were started.
func begunSteps(done []Outcome) (n int) {
	for _, o := range done {
		if o.Kind == ActDo {
			n = max(n, o.Step+1)
		}
	}
	return n
}

// room returns what to stop and unload for a step.
func (p Plan) room(step int) Room {
	return Room{Stop: p.Stop, RunDir: p.RunDir, Asked: p.asked(step)}
}
