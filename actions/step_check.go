package actions

import (
	"cmp"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/actions/weights"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/store"
)

// DoCheck checks the files that a training of a language model wrote.
const DoCheck Builtin = "check"

// CheckStep checks the files of a fine-tuned language model, and names the first faulty link of the chain adapter ->
// merged model -> GGUF. Each link must be complete, and be made from the one before.
type CheckStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// Adapter is the directory of the LoRA adapter as PEFT saves it, relative to the model's dir or beginning with a
	// $RETRAIND_ variable.
	Adapter string `yaml:"adapter"`
	// Merged is the directory of the merged model, with its weights as safetensors.
	Merged string `yaml:"merged"`
	// Base is the directory of the base model that the adapter was trained on.
	Base string `yaml:"base"`
	// GGUF is the GGUF file to serve, such as $RETRAIND_RELEASE_DIR/model.gguf.
	GGUF string `yaml:"gguf"`
	// Prompt lists files, such as a Modelfile or a training script, that should contain the system prompt of
	// serving.ollama; `retraind check` warns if one differs.
	Prompt unit.List `yaml:"prompt"`

	dir string
}

func (s *CheckStep) builtin() Builtin { return DoCheck }

func (s *CheckStep) paths(dir string, abs func(string) string) { s.dir = cmp.Or(dir, abs(".")) }

func (s *CheckStep) resolve(step *Step, _ *DeployConfig, _ string) {
	step.Check, step.Dir = &weights.Chain{Base: s.Base, Adapter: s.Adapter, Merged: s.Merged, GGUF: s.GGUF}, s.dir
}

func (s *CheckStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	given := 0
	for _, path := range []struct{ key, at string }{
		{"adapter", s.Adapter}, {"merged", s.Merged}, {"base", s.Base}, {"gguf", s.GGUF},
	} {
		if path.at == "" {
			continue
		}
		if path.key != "base" {
			given++
		}
		validateVariable(p, here+"."+path.key, path.at)
	}
	if given == 0 && len(s.Prompt) > 0 {
		p.Errorf(here+".gguf", "add gguf: FILE", "prompt is used by retraind check only: the step itself checks nothing")
	} else if given == 0 {
		p.Errorf(here, "add gguf: FILE, merged: DIR or adapter: DIR", "the step checks nothing")
	}
}

// chain returns the files with the run's variables replaced, and relative paths resolved against the model's dir.
func (p Plan) chain(step Step) weights.Chain {
	c := *step.Check
	c.Template = p.Serving.Ollama != nil && p.Serving.Ollama.Template != ""
	for _, path := range []*string{&c.Base, &c.Adapter, &c.Merged, &c.GGUF} {
		if *path == "" {
			continue
		}
		*path = absolute(step.Dir, fill([]string{*path}, p.vars(step))[0])
	}
	return c
}

// absolute resolves a path against a directory, if it is relative.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// checkFiles checks the files in a child process, so that a damaged file cannot harm the daemon.
func (x *Executor) checkFiles(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	out, data, err := x.child(ctx, p, a, step, "check", func(string) (any, error) { return p.chain(step), nil })
	var found []string
	if err != nil || out.Class != store.StepOK || json.Unmarshal(data, &found) != nil {
		return out, err
	}
	out.Detail = strings.Join(found, "; ")
	return out, nil
}
