package actions

import (
	"fmt"
	"path/filepath"

	"github.com/retraind/retraind/actions/predict"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// BaseFacts are the results of comparing a candidate with its base, the model that it was trained from, on the held-out
// items of the gate.
type BaseFacts struct {
	Model  string `json:"model"`  // its name on the Ollama server
	N      int    `json:"n"`      // held-out items that both answered
	Right  int    `json:"right"`  // right answers of the base
	Better int    `json:"better"` // only the candidate is right
	Worse  int    `json:"worse"`  // only the base is right
	Differ int    `json:"differ"` // items that the two answer differently, in any target
}

// baseModel returns the name of the base model that a run queries, "" if it queries none.
func (p Plan) baseModel() string {
	for _, s := range p.Steps {
		if s.Predict != nil && s.Predict.Base != "" {
			return s.Predict.Base
		}
	}
	return ""
}

// baseDir returns the directory of the base model's answers.
func (p Plan) baseDir() string { return filepath.Join(p.RunDir, "base") }

// askBase adds the base model to the input of the step predict, which then asks it about the candidate's items. The base
// gets the candidate's requests and, in addition, the system prompt, which the candidate's model already contains.
func (p Plan) askBase(in *predict.Input, model string) {
	config := *p.Serving.Ollama
	config.Model, config.Foreign = model, true
	in.Base = &predict.Base{Model: model, Serving: p.Serving, Out: filepath.Join(p.baseDir(), predictionsFile)}
	in.Base.Serving.Ollama = &config
}

// compareBase compares the candidate's answers with those of its base. It returns nil if no base was asked.
func (p Plan) compareBase(items []drift.LabelChange, mine answers) (*BaseFacts, error) {
	model := p.baseModel()
	if model == "" {
		return nil, nil
	}
	theirs, err := readPredictions(p.baseDir(), p.targets())
	if err != nil {
		return nil, fmt.Errorf("read the answers of the base model %s: %w", model, err)
	}
	return besideBase(model, p.targets()[0], items, mine, theirs), nil
}

func besideBase(model string, gate serving.Target, items []drift.LabelChange, mine, theirs answers) *BaseFacts {
	f := &BaseFacts{Model: model}
	for _, it := range items {
		key := [2]string{it.Item, it.TextHash}
		label, labelled := it.New[gate.Name]
		a, answered := mine[key]
		b, both := theirs[key]
		if !labelled || !answered || !both {
			continue
		}
		f.N++
		right, was := a.Answers[gate.Name] == label, b.Answers[gate.Name] == label
		switch {
		case right && !was:
			f.Better++
		case was && !right:
			f.Worse++
		}
		if was {
			f.Right++
		}
		if !a.Answers.Agrees(b.Answers) {
			f.Differ++
		}
	}
	return f
}

// judgeBase rejects a candidate that is right no more often than its base: then the training, or a step after it, seems
// to have had no effect. If the two have no answered item in common, it returns failed. It is pure.
func judgeBase(f *BaseFacts) (class store.StepState, why string) {
	switch {
	case f == nil:
		return store.StepOK, ""
	case f.N == 0:
		return store.StepFailed, fmt.Sprintf("no held-out item was answered by both the candidate and its base model %s", f.Model)
	case f.Differ == 0:
		return store.StepRejected, fmt.Sprintf(
			"the candidate gives to all %d held-out items the same answers as its base model %s: the training has no effect; was the adapter merged, and the merged model converted? The step check tests that",
			f.N, f.Model)
	case f.Better <= f.Worse:
		return store.StepRejected, fmt.Sprintf(
			"the candidate is not better than its base model %s, which is right on %.1f%% of %d held-out items (only the candidate is right on %d, only the base on %d)",
			f.Model, 100*float64(f.Right)/float64(f.N), f.N, f.Better, f.Worse)
	}
	return store.StepOK, fmt.Sprintf("its base model %s is right on %.1f%%", f.Model, 100*float64(f.Right)/float64(f.N))
}

// judgedBase compares the candidate with its base, stores the figures in facts, and combines the result with the gate's
// verdict.
func (p Plan) judgedBase(
	items []drift.LabelChange, mine answers, facts *GateFacts, class store.StepState, why string,
) (store.StepState, string, error) {
	base, err := p.compareBase(items, mine)
	if err != nil || base == nil {
		return class, why, err
	}
	facts.Base = base
	bad, because := judgeBase(base)
	if class == store.StepOK && bad != store.StepOK {
		facts.Decided = "base_model"
		return bad, because + "; " + why, nil
	}
	return class, why + "; " + because, nil
}

// asksBase reports whether a step asks the model that the candidate was trained from.
func (s Step) asksBase(c serving.Config) bool {
	return s.Predict != nil && s.Predict.Base != "" && c.Ollama != nil
}

// validateBase checks the key base_model in the steps that the pipeline itself lists. staged means that the pipeline,
// or one that it includes, has the step stage.
func validateBase(p *check.Problems, d *DeployConfig, s serving.Config, written []StepConfig, staged bool) {
	for i, step := range written {
		ask := step.Predict()
		if ask == nil || ask.BaseModel == "" {
			continue
		}
		here := check.Index("", i) + ".base_model"
		switch {
		case s.Ollama == nil || d == nil || d.Ollama == nil || !staged:
			p.Errorf(here, "leave base_model out, or serve the model by serving.ollama and deploy.ollama, with the step stage",
				"base_model is possible only if the candidate, too, is a model on the Ollama server")
		case ollama.Tagged(ask.BaseModel) == ollama.Tagged(s.Ollama.Model):
			p.Errorf(here, "name the model that the training starts from",
				"%s is the name under which clients use the trained model", ask.BaseModel)
		}
	}
}
