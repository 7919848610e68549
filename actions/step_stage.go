package actions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/actions/ollamatags"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// DoStage creates a name for the candidate on the Ollama server, for requests before the deployment.
const DoStage Builtin = "stage"

// StageStep seals the release and creates a name for it on the Ollama server, for requests before the deployment.
type StageStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
}

func (s *StageStep) builtin() Builtin { return DoStage }

func (s *StageStep) resolve(step *Step, deploy *DeployConfig, _ string) {
	if deploy != nil {
		step.Ollama = deploy.Ollama
	}
	step.Timeout = cmp.Or(step.Timeout, modelTimeout)
}

func staged(done []Outcome) *ollamatags.Made {
	return find(done, func(f Facts) *ollamatags.Made { return f.Stage })
}

// ollamaPlace returns the server and the model whose names a run creates and switches.
func (p Plan) ollamaPlace(o *OllamaDeploy) ollamatags.Place {
	return ollamatags.Place{
		URL: p.Serving.Ollama.URL, Model: p.Serving.Ollama.Model, Store: ollamatags.StoreOf(p.Serving.Ollama.URL, o.Store),
		State: filepath.Join(p.ModelDir, "ollama.json"),
	}
}

// recipe returns the recipe from which a release's name on the server is created. It is made from the files that
// serving.ollama names, so that the name, the requests and the chats of an export agree.
func (p Plan) recipe(o *OllamaDeploy) ollamatags.Recipe {
	s := p.Serving.Ollama
	r := ollamatags.Recipe{GGUF: o.GGUF, System: s.System, Template: s.Template, Prompts: s.Digest()}
	for name, v := range o.Parameters {
		if r.Parameters == nil {
			r.Parameters = map[string]any{}
		}
		r.Parameters[name] = v.Value(name)
	}
	return r
}

// canary returns a request in the format of clients, about an item of the export.
func (p Plan) canary() (ollama.ChatRequest, error) {
	fields := map[string]string{}
	if f, err := os.Open(filepath.Join(p.dataDir(), "test.jsonl")); err == nil {
		defer f.Close()
		lines := json.NewDecoder(f)
		for range 50 {
			var e Example
			if lines.Decode(&e) != nil {
				break
			}
			if size := len(fmt.Sprint(e.Text)); size < 4096 { // a short text is enough: any answer will do
				fields = e.Text
				break
			}
		}
	}
	return p.Serving.Ollama.Request(fields)
}

// stage seals the release and creates its name on the Ollama server.
func (x *Executor) stage(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if step.Ollama == nil || p.Serving.Ollama == nil {
		return Outcome{Class: store.StepFailed, Detail: "stage: the plan has no deploy.ollama or no serving.ollama"}, nil
	}
	out, data, err := x.child(ctx, p, a, step, JobOllamaStage, func(string) (any, error) {
		if err := os.MkdirAll(p.releaseDir(), 0o755); err != nil {
			return nil, err
		}
		if err := ollamatags.WriteRecipe(p.releaseDir(), p.recipe(step.Ollama)); err != nil {
			return nil, err
		}
		r, err := Seal(p.releaseDir(), p.Model, p.Run, now())
		if err != nil {
			return nil, err
		}
		faults.Point("sealed")
		ask, err := p.canary()
		if err != nil {
			return nil, err
		}
		in := ollamatags.MakeInput{
			Place: p.ollamaPlace(step.Ollama), Release: ollamatags.Release{Digest: r.Digest, Dir: p.releaseDir()},
			Keep: step.Ollama.keep(), Ask: ask, Serving: []string{p.Champion},
		}
		err = x.Store.View(ctx, func(t *store.Tx) error {
			m, err := t.Model(p.Model)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			in.Serving = append(in.Serving, m.Champion, m.Previous)
			const most = 1000
			releases, err := t.Releases(p.Model, most)
			for _, r := range releases {
				if r.Pinned != "" {
					in.Serving = append(in.Serving, r.Digest)
				}
			}
			return err
		})
		return in, err
	})
	if err != nil || out.Class != store.StepOK {
		return out, err
	}
	var f ollamatags.Made
	if err := json.Unmarshal(data, &f); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	out.Facts.Stage = &f
	return out, nil
}
