package actions

import (
	"cmp"
	"maps"
	"net/url"
	"slices"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

// DoPredict gets the candidate's answers to the held-out items.
const DoPredict Builtin = "predict"

// PredictStep gets the candidate's answers to the held-out items, if the training does not write predictions.jsonl
// itself. Without url and exec it asks the name that stage created (deploy.ollama), or runs a container of the
// candidate's image beside the service (deploy.compose with build).
type PredictStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// URL is a URL at which the candidate answers, in the format of serving.classify; default: a container of the
	// candidate's image, or its name on the Ollama server.
	URL string `yaml:"url"`
	// Exec is a command that writes the answers to $RETRAIND_PREDICTIONS.
	Exec []string `yaml:"exec"`
	// Port is the service's port in its container; default: the port of the running container that is published as the
	// port of serving.classify.
	Port int `yaml:"port"`
	// Env adds variables to the container or to the command. $RETRAIND_PORT is a free port, for a service on the host's
	// network.
	Env map[string]string `yaml:"env"`
	// BaseModel is the model of the Ollama server that the training began with, such as qwen3:8b. It gets the same items,
	// and the gate refuses a candidate that is not right more often.
	BaseModel string `yaml:"base_model"`

	dir string // working directory of the model's commands
}

func (s *PredictStep) builtin() Builtin                        { return DoPredict }
func (s *PredictStep) paths(dir string, _ func(string) string) { s.dir = dir }

// NeedsImage reports whether the candidate is asked without url and exec: under its name on the Ollama server, or in a
// container of its image.
func (s *PredictStep) NeedsImage() bool { return s.URL == "" && len(s.Exec) == 0 }

// Predict returns the step as a PredictStep; nil for other kinds.
func (s StepConfig) Predict() *PredictStep {
	c, _ := s.StepType.(*PredictStep)
	return c
}

// PredictPlan is how a run asks its candidate.
type PredictPlan struct {
	URL  string            `json:"url,omitempty"`
	Port int               `json:"port,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
	Base string            `json:"base,omitempty"`
}

func (s *PredictStep) resolve(to *Step, deploy *DeployConfig, self string) {
	usual := composeTimeout
	if deploy != nil && deploy.Ollama != nil {
		usual = modelTimeout
	}
	to.Timeout = cmp.Or(to.Timeout, usual)
	if len(s.Exec) > 0 {
		to.Argv, to.Dir, to.Env, to.Fill = command(s.Exec, false, self), s.dir, s.Env, true
		return
	}
	to.Predict = &PredictPlan{URL: s.URL, Port: s.Port, Env: s.Env, Base: s.BaseModel}
}

func (s *PredictStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	if s.URL != "" && len(s.Exec) > 0 {
		p.Errorf(here+".exec", "keep one", "the candidate is asked either by url or by exec")
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		p.Errorf(here+".url", "write a URL such as http://127.0.0.1:9000/classify", "%q is not a URL", text.URL(s.URL))
	}
	if s.Port < 0 || s.Port > 65535 {
		p.Errorf(here+".port", "write a number from 1 to 65535", "%d is not a port", s.Port)
	}
	if s.Port != 0 && !s.NeedsImage() {
		p.Errorf(here+".port", "leave it out", "port is for a container, but with url or exec retraind starts none")
	}
	if len(s.Env) > 0 && s.URL != "" {
		p.Errorf(here+".env", "leave it out", "env is for a container or a command, but with url retraind starts neither")
	}
	if s.BaseModel != "" && !s.NeedsImage() {
		p.Errorf(here+".base_model", "leave it out", "base_model is not possible with url or exec: retraind can ask only models on the Ollama server")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !envName.MatchString(name) {
			p.Errorf(here+".env."+name, "use letters, digits and _", "%q cannot name a variable", name)
		}
	}
	validateArgv(p, here+".exec", s.Exec)
	validateVariables(p, here+".exec", s.Exec)
}
