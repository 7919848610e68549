package actions

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
)

// OllamaDeploy keeps releases as names of the Ollama server that serving.ollama asks: the step stage makes a name of the
// candidate, and the step deploy gives it the name that clients ask for.
type OllamaDeploy struct {
	// GGUF is the file of the release that serves, such as model-q8_0.gguf.
	GGUF string `yaml:"gguf" json:"gguf"`
	// Parameters are those of the name, for clients that send none, such as temperature: 0.1 and num_ctx: 8192.
	Parameters map[string]serving.Option `yaml:"parameters" json:"parameters,omitempty"`
	// Keep is how many names of old releases stay on the server, beside the one that serves and the one before; default 2.
	Keep *int `yaml:"keep" json:"keep,omitempty"`
	// Store is the directory in which the server keeps its models, to look at its free space; default: the usual places.
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
		p.Errorf("gguf", "for example model-q8_0.gguf", "nothing says which file of the release serves")
	case !filepath.IsLocal(o.GGUF) || clean == "." || clean == manifestFile:
		p.Errorf("gguf", "write the name that the conversion gives it in $RETRAIND_RELEASE_DIR, such as model-q8_0.gguf",
			"%q cannot name a file of a release", o.GGUF)
	}
	if o.Keep != nil && (*o.Keep < 0 || *o.Keep > 1000) {
		p.Errorf("keep", "2 is usual", "%d is not between 0 and 1000", *o.Keep)
	}
	return p
}

// ValidateOllama finds faults between a model's strategy, how its service is asked, and the steps of a pipeline: those
// that it is written with, and all with those of the pipelines that it includes.
func ValidateOllama(d *DeployConfig, s serving.Config, written, all []StepConfig) check.Problems {
	var p check.Problems
	byName := d != nil && d.Ollama != nil
	for i, step := range written {
		here := check.Index("", i)
		switch do := step.Builtin(); {
		case do == DoStage && !byName:
			p.Errorf(here, "add deploy: {ollama: {gguf: FILE}} to the model", "nothing says what is staged")
		case do == DoRelease && byName:
			p.Errorf(here, "write deploy in its place",
				"release only sets a link, and deploy.ollama says how a release is brought into service")
		}
	}
	does := func(do Builtin) bool {
		return slices.ContainsFunc(all, func(s StepConfig) bool { return s.Builtin() == do })
	}
	switch {
	case !byName || !does(DoDeploy):
	case s.Ollama == nil:
		p.Errorf("", "add serving: {ollama: {model: NAME}}", "deploy.ollama needs the name that clients ask for")
	case strings.Contains(s.Ollama.Model, ":r-"), strings.Contains(s.Ollama.Model, ":former-"):
		p.Errorf("", "choose another tag for serving.ollama.model",
			"clients ask for %s: names with :r- and :former- are those of releases", s.Ollama.Model)
	case !does(DoStage):
		p.Errorf("", "add stage before gate", "the candidate has no name on the Ollama server: stage makes it")
	}
	return p
}
