package actions

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// DoLabel labels, with a larger model, the texts that people have not labelled.
const DoLabel Builtin = "label"

// JobLabel is the kind of the job that labels.
const JobLabel = "label"

// LabelStep labels training items with a larger model of the Ollama server, for the export of this run: people's labels
// win. Held-out items are labelled only to measure the model's agreement with people.
type LabelStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do                   Builtin `yaml:"do"`
	StepCommon           `yaml:",inline"`
	serving.OllamaConfig `yaml:",inline"`
	// Items are the training items to label: unlabelled (those without a label, the default), or all, whose answers
	// complete people's labels in a chat export.
	Items LabelItems `yaml:"items"`
	// Measure is how many held-out items are labelled first, to compare the model with people; default 300.
	Measure *int `yaml:"measure"`
	// MinAgreement is the least share of these items, such as 80%, on which the model must agree with people; below it
	// the run is rejected.
	MinAgreement unit.Percent `yaml:"min_agreement"`
	// Budget is how long the step may label in one night, such as 3h; the next run continues. Default: no limit.
	Budget unit.Duration `yaml:"budget"`
	// Checkpoints stops the step when the quiet hours end; the next run continues.
	Checkpoints bool `yaml:"checkpoints"`
	// Concurrency is the largest number of concurrent requests; default 4.
	Concurrency int `yaml:"concurrency"`
	// AnswerWithin is how long one answer may take; default 5m.
	AnswerWithin unit.Duration `yaml:"answer_within"`
	// Patience is how long the model may be without an answer before the step fails; default 1h.
	Patience unit.Duration `yaml:"patience"`
	// Write is the section for writing the model's labels into the table as well, for items that people have not
	// labelled; default: only this run's export has them.
	Write *LabelWrite `yaml:"write"`
}

// LabelItems are the items to label.
type LabelItems string

// The choices.
const (
	LabelUnlabelled LabelItems = "unlabelled"
	LabelAll        LabelItems = "all"
)

const defaultMeasure = 300

// LabelPlan is how a run labels with a larger model.
type LabelPlan struct {
	Ollama       serving.OllamaConfig `json:"ollama"`
	All          bool                 `json:"all,omitempty"`
	Measure      int                  `json:"measure"`
	MinAgreement float64              `json:"min_agreement,omitempty"`
	Budget       time.Duration        `json:"budget,omitempty"`
	Concurrency  int                  `json:"concurrency"`
	AnswerWithin time.Duration        `json:"answer_within"`
	Patience     time.Duration        `json:"patience"`
	Write        *LabelWrite          `json:"write,omitempty"`
}

func (s *LabelStep) builtin() Builtin { return DoLabel }

// Label returns the step as a LabelStep; nil for other kinds.
func (s StepConfig) Label() *LabelStep {
	c, _ := s.StepType.(*LabelStep)
	return c
}

func (s *LabelStep) paths(_ string, abs func(string) string) {
	s.SystemFile, s.PromptFile, s.FormatFile = abs(s.SystemFile), abs(s.PromptFile), abs(s.FormatFile)
}

func (s *LabelStep) resolve(step *Step, _ *DeployConfig, _ string) {
	step.Timeout = cmp.Or(step.Timeout, 12*time.Hour)
	step.Checkpoints = s.Checkpoints
	measure := defaultMeasure
	if s.Measure != nil {
		measure = *s.Measure
	}
	step.Label = &LabelPlan{
		Ollama: s.OllamaConfig, All: s.Items == LabelAll, Measure: measure, MinAgreement: float64(s.MinAgreement),
		Budget: s.Budget.D(), Concurrency: cmp.Or(s.Concurrency, 4),
		AnswerWithin: cmp.Or(s.AnswerWithin.D(), 5*time.Minute), Patience: cmp.Or(s.Patience.D(), time.Hour),
		Write: s.Write,
	}
	step.Label.Ollama.Foreign = true
}

func (s *LabelStep) validate(p *check.Problems, here string) {
	s.StepCommon.validate(p, here)
	if s.Items != "" && s.Items != LabelAll && s.Items != LabelUnlabelled {
		p.Errorf(here+".items", "write unlabelled or all", "unknown choice %q", string(s.Items))
	}
	if s.Measure != nil && (*s.Measure < 0 || *s.Measure > 100_000) {
		p.Errorf(here+".measure", "write a number from 0 to 100000; 300 is usual", "%d is not between 0 and 100000", *s.Measure)
	}
	if s.MinAgreement > 0 && s.Measure != nil && *s.Measure == 0 {
		p.Errorf(here+".min_agreement", "remove min_agreement, or raise measure", "with measure 0 no agreement is measured")
	}
	if s.TemplateFile != "" {
		p.Errorf(here+".template_file", "leave it out", "a template applies only to models that retraind creates, but this model exists already")
	}
	if s.Concurrency < 0 || s.Concurrency > 256 {
		p.Errorf(here+".concurrency", "write a number from 1 to 256; 4 is usual", "%d is not between 1 and 256", s.Concurrency)
	}
	s.Write.validate(p, here+".write")
	for _, d := range []struct {
		key   string
		value unit.Duration
	}{{"budget", s.Budget}, {"answer_within", s.AnswerWithin}, {"patience", s.Patience}} {
		if d.value < 0 {
			p.Errorf(here+"."+d.key, "write a duration such as 1h", "%v is negative", d.value)
		}
	}
}

// overlayFile returns the path of the file with the larger model's labels for the run's training items.
func (p Plan) overlayFile() string { return filepath.Join(p.RunDir, "overlay.jsonl") }

// label runs the labelling in a child process. If the step is configured with write, it then writes the labels into the
// table.
func (x *Executor) label(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	out, data, err := x.child(ctx, p, a, step, JobLabel, func(dir string) (any, error) {
		l := step.Label
		in := teacher.Input{
			Serving: serving.Config{
				Ollama: &l.Ollama, Targets: p.Serving.Targets, Gate: p.Serving.Gate, Concurrency: l.Concurrency,
				Timeout: unit.Duration(l.AnswerWithin),
			}.WithDefaults(),
			Items: filepath.Join(dir, "items.jsonl"), Books: filepath.Join(p.ModelDir, "labels"), Overlay: p.overlayFile(),
			Measure: l.Measure, MinAgreement: l.MinAgreement, Budget: l.left(p, step, a), Patience: l.Patience,
		}
		bounded, stop := x.bounded(ctx, p, step)
		defer stop()
		return in, x.patiently(bounded, p, func() error { return x.writeTexts(bounded, p, in.Items, l.All) })
	})
	var f teacher.Facts
	if data != nil && json.Unmarshal(data, &f) == nil {
		out.Facts.Label = &f
	}
	if w := step.Label.Write; w != nil && err == nil && out.Class == store.StepOK {
		bounded, stop := x.bounded(ctx, p, step)
		defer stop()
		out, err = x.writeLabels(bounded, p, *w, out)
		return ended(step, out, err)
	}
	return out, err
}

// left returns how much of a night's budget is left for an attempt. Earlier attempts, which were killed, have used part
// of it.
func (l *LabelPlan) left(p Plan, step Step, a Action) time.Duration {
	if l.Budget == 0 {
		return 0
	}
	left := l.Budget
	for n := 1; n < a.Attempt; n++ {
		dir := AttemptDir(p.RunDir, attemptName(step, a), n)
		if said, err := os.Stat(runner.ProgressFile(dir)); err == nil {
			left -= max(0, said.ModTime().Sub(runner.Began(dir)))
		}
	}
	return max(left, time.Nanosecond)
}

// writeTexts writes the items to label, and those for the measurement.
func (x *Executor) writeTexts(ctx context.Context, p Plan, path string, all bool) error {
	out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer out.Cleanup() //nolint:errcheck // nothing is left of one that was replaced
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	for row, err := range x.Source.Rows(ctx, p.Model) {
		if err != nil {
			return err
		}
		held := row.Side == drift.SideTest
		if row.Duplicate || !held && !all && complete(p.targets(), row.Labels) {
			continue
		}
		it := teacher.Item{ID: row.ID, Hash: drift.TextHash(row.Text), Text: row.Text, Labels: row.Labels, Heldout: held}
		if err := enc.Encode(it); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// complete reports whether people have labelled every target.
func complete(targets []serving.Target, labels map[string]string) bool {
	for _, t := range targets {
		if _, ok := t.Value(labels); !ok {
			return false
		}
	}
	return true
}
