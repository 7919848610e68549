package actions

import (
	"cmp"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving/ollama"
)

// DoOllama unloads or loads a model of the Ollama server.
const DoOllama Builtin = "ollama"

// OllamaStep unloads or loads a model of the Ollama server at ollama.url.
type OllamaStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// Model is the name of the model. all means every loaded model, and with load every model that steps of the run have
	// unloaded.
	Model string `yaml:"model"`
	// Action is what to do with the model: unload or load. An unloaded model is loaded again for the rest of its
	// keep-alive time, by a later step with load or else at the end of the run. If the run fails, a model that only this
	// step has loaded is unloaded again.
	Action OllamaAction `yaml:"action"`

	url string // of the server
}

// OllamaAction is the operation of a step on a model of the Ollama server.
type OllamaAction string

// The actions.
const (
	OllamaUnload OllamaAction = "unload"
	OllamaLoad   OllamaAction = "load"
)

// JSONSchema lists the values.
func (OllamaAction) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Enum: []any{OllamaUnload, OllamaLoad}}
}

// OllamaAct is the operation of a step on a model, in a plan.
type OllamaAct struct {
	URL   string `json:"url"`
	Model string `json:"model"` // gpu.AllModels for all
	Load  bool   `json:"load,omitempty"`
}

func (s *OllamaStep) builtin() Builtin { return DoOllama }

// SetOllama sets the server of the step ollama; it does nothing for a step of any other kind.
func (s StepConfig) SetOllama(url string) {
	if c, ok := s.StepType.(*OllamaStep); ok {
		c.url = url
	}
}

func (s *OllamaStep) resolve(to *Step, _ *DeployConfig, _ string) {
	to.Act = &Act{Ollama: &OllamaAct{
		URL: cmp.Or(s.url, gpu.OllamaURL), Model: s.Model, Load: s.Action == OllamaLoad,
	}}
}

func (s *OllamaStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	switch {
	case s.Model == "":
		p.Errorf(here+".model", "write the name from ollama list, or all", "the model is missing")
	case strings.ContainsFunc(s.Model, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		p.Errorf(here+".model", "write the name from ollama list, or all", "%q cannot name a model", s.Model)
	}
	if s.Action != OllamaUnload && s.Action != OllamaLoad {
		p.Errorf(here+".action", "write unload or load", "unknown action %q", s.Action)
	}
}

// unloads reports whether a step unloads models, which the run has to load again.
func (s Step) unloads() bool { return s.Act != nil && s.Act.Ollama != nil && !s.Act.Ollama.Load }

// covers reports whether an operation loads everything that the given one has unloaded.
func (a *OllamaAct) covers(unloaded *OllamaAct) bool {
	return a.Load && a.URL == unloaded.URL &&
		(a.Model == gpu.AllModels || ollama.Tagged(a.Model) == ollama.Tagged(unloaded.Model))
}

// named returns the models of an action, in the form of gpu.stop.
func (a *OllamaAct) named() gpu.StopConfig {
	return gpu.StopConfig{Ollama: []string{a.Model}, Server: a.URL}
}

// unloaded returns the indices of those of the first n steps that unload models, unless a later one of the n steps
// loads these models again.
func (p Plan) unloaded(n int) (list []int) {
	for i, s := range p.Steps[:n] {
		if s.Act == nil || s.Act.Ollama == nil {
			continue
		}
		if list = p.loaded(list, i); s.unloads() {
			list = append(list, i)
		}
	}
	return list
}

// loaded takes a list of steps that have unloaded models, and removes the steps whose models the given step has loaded
// again.
func (p Plan) loaded(unloaded []int, step int) []int {
	a := p.Steps[step].Act.Ollama
	return slices.DeleteFunc(unloaded, func(i int) bool { return a.covers(p.Steps[i].Act.Ollama) })
}
