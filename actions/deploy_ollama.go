package actions

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
)

// OllamaDeploy stores each release as a model with a name of its own on the Ollama server of serving.ollama. The step
// `stage` creates that name for the candidate, and the step `deploy` makes the name that clients use point to it.
type OllamaDeploy struct {
	// GGUF is the model file in the release, such as model-q8_0.gguf.
	GGUF string `yaml:"gguf" json:"gguf"`
	// Parameters are the defaults for requests that do not set them, such as temperature: 0.1 and num_ctx: 8192.
	Parameters map[string]serving.Option `yaml:"parameters" json:"parameters,omitempty"`
	// Keep is how many old releases stay on the server, besides the serving and the previous one; default 2.
	Keep *int `yaml:"keep" json:"keep,omitempty"`
	// Store is the server's model directory, in which free disk space is checked; default: the usual directories.
	Store string `yaml:"store" json:"store,omitempty"`
}

const defaultKeep = 2

func (o *OllamaDeploy) keep() int {
	if o.Keep == nil {
		return defaultKeep
	}
	return *o.Keep
}

func (o *OllamaDeploy) validate() check.Problems {
	var p check.Problems
	switch clean := filepath.Clean(o.GGUF); {
	case o.GGUF == "":
		p.Errorf("gguf", "for example model-q8_0.gguf", "it is not configured which file of the release is the model")
	case !filepath.IsLocal(o.GGUF) || clean == "." || clean == manifestFile:
		p.Errorf("gguf", "write the name of the file that the conversion writes into $RETRAIND_RELEASE_DIR, such as model-q8_0.gguf",
			"%q cannot name a file of a release", o.GGUF)
	}
	if o.Keep != nil && (*o.Keep < 0 || *o.Keep > 1000) {
		p.Errorf("keep", "write a number from 0 to 1000; 2 is usual", "%d is not between 0 and 1000", *o.Keep)
	}
	return p
}

// ValidateOllama returns contradictions between a model's deploy strategy, its serving configuration and the steps of a
// pipeline. written are the steps that the pipeline itself lists; all includes those of included pipelines.
func ValidateOllama(d *DeployConfig, s serving.Config, written, all []StepConfig) check.Problems {
	var p check.Problems
	byName := d != nil && d.Ollama != nil
	for i, step := range written {
		here := check.Index("", i)
		switch do := step.Builtin(); {
		case do == DoStage && !byName:
			p.Errorf(here, "add deploy: {ollama: {gguf: FILE}} to the model", "it is not configured what to stage")
		case do == DoRelease && byName:
			p.Errorf(here, "write deploy instead",
				"release only sets a link, but deploy.ollama needs the step deploy")
		}
	}
	does := func(do Builtin) bool {
		return slices.ContainsFunc(all, func(s StepConfig) bool { return s.Builtin() == do })
	}
	validateBase(&p, d, s, written, does(DoStage))
	switch {
	case !byName || !does(DoDeploy):
	case s.Ollama == nil:
		p.Errorf("", "add serving: {ollama: {model: NAME}}", "deploy.ollama needs the name that clients use")
	case strings.Contains(s.Ollama.Model, ":r-"), strings.Contains(s.Ollama.Model, ":former-"):
		p.Errorf("", "choose another tag for serving.ollama.model",
			"clients use %s: names with :r- and :former- are reserved for releases", s.Ollama.Model)
	case !does(DoStage):
		p.Errorf("", "add stage before gate", "the candidate has no name on the Ollama server: the step stage creates it")
	}
	return p
}
