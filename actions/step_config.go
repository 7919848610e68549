package actions

import (
	"cmp"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// StepConfig is one step of a pipeline. Each kind of step is a type of its own with its own keys.
type StepConfig struct {
	StepType `yaml:"-"`
}

// StepType is implemented by the kinds of steps.
type StepType interface {
	common() *StepCommon
	builtin() Builtin
	// validate checks the step alone; here is its position in the configuration.
	validate(p *check.Problems, here string)
	// resolve adds the keys of this kind to a step of a plan. self is the path of this binary.
	resolve(s *Step, deploy *DeployConfig, self string)
	// paths resolves the step's relative paths; dir is the working directory of the model's commands.
	paths(dir string, abs func(string) string)
}

// StepCommon holds the keys of every step.
type StepCommon struct {
	// Name is the name of the step in logs, events and directories; default: the name of the built-in step. A command
	// must have a name.
	Name string `yaml:"name"`
	// Timeout is how long the step may take; then it is stopped and has failed. Default: 12h for commands and label, 2h
	// for stage and for predict and deploy on an Ollama server, 30m for other steps predict and for deploy with compose,
	// 10m for other built-in steps, but for verify at least 5m more than promote.verify_within.
	Timeout unit.Duration `yaml:"timeout"`
	// Expect is the expected duration of the step, used until earlier runs show it: a run starts only if it is expected
	// to end within the quiet hours.
	Expect unit.Duration `yaml:"expect"`
	// Retries is how often a failed step is retried; default 0.
	Retries int `yaml:"retries"`
}

// Builtin names a step that retraind does itself.
type Builtin string

// The built-in steps.
const (
	DoExport  Builtin = "export"  // write train.jsonl, validation.jsonl and test.jsonl
	DoGate    Builtin = "gate"    // compare candidate and champion on the held-out set
	DoRelease Builtin = "release" // point `current` to the candidate
	DoDeploy  Builtin = "deploy"  // deploy the candidate by the model's strategy
	DoVerify  Builtin = "verify"  // verify that the service answers as the candidate
)

// ExportStep writes the labelled items as files for training and test.
type ExportStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
	// Place copies exported files to where scripts expect them, by path below the model's dir: {train.jsonl:
	// data/train.jsonl}.
	Place map[string]string `yaml:"place"`
	// Format is the format of the exported lines: jsonl, or chat, which adds messages from the files of serving.ollama
	// and the labels; default jsonl.
	Format ExportFormat `yaml:"format"`

	dir string
}

// ExportFormat is the format of an export's lines.
type ExportFormat string

// The formats.
const (
	FormatJSONL ExportFormat = "jsonl" // id, text_hash, text and labels
	FormatChat  ExportFormat = "chat"  // the same, and messages
)

// paths stores the directory that Place refers to: the model's dir, or the directory of the configuration if the model
// has none.
func (s *ExportStep) paths(dir string, abs func(string) string) { s.dir = cmp.Or(dir, abs(".")) }

// GateStep compares candidate and champion.
type GateStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
}

// ReleaseStep points the link `current` to the candidate.
type ReleaseStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
}

// DeployStep deploys the candidate by the model's strategy.
type DeployStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`

	dir string // working directory of the model's commands
}

// VerifyStep verifies that the service answers as the candidate.
type VerifyStep struct {
	// Do names the built-in step. A step without other keys may be written as the word alone: gate.
	Do         Builtin `yaml:"do"`
	StepCommon `yaml:",inline"`
}

// CommandStep runs a command of the user.
type CommandStep struct {
	// Exec is a command, a list of arguments without a shell; only $RETRAIND_ variables are expanded. The program
	// retraind means the daemon's own binary.
	Exec       []string `yaml:"exec"`
	StepCommon `yaml:",inline"`
	// Undo is a command that undoes the step when the step or a later one fails.
	Undo []string `yaml:"undo"`
	// Shell runs the single argument of exec with /bin/sh -c, which gets its data in RETRAIND_ variables.
	Shell bool `yaml:"shell"`
	// Dir is the command's working directory; default: the model's dir, or an empty directory of the attempt if the model
	// has none.
	Dir string `yaml:"dir"`
	// Env adds variables to the command's environment, which otherwise has PATH, HOME, LANG, TZ and the RETRAIND_
	// variables.
	Env map[string]string `yaml:"env"`
	// Kind is what to do if the outcome of the step is unknown, as after a power cut: pure (run it again), converge (run
	// probe, and the step again if probe fails) or once (undo the run). Default: converge with a probe, once without.
	Kind StepKind `yaml:"kind"`
	// Probe is a command of a step of kind converge that checks whether the step's effect is there: exit status 0 if it
	// is, another one if it is not. It must not change anything.
	Probe []string `yaml:"probe"`
	// Progress is how to find the progress in the command's output: trainer for the usual lines of Hugging Face Trainer,
	// Unsloth and tqdm, or a regular expression with named groups: share, or done and total, for the progress, and text
	// for a text to show.
	Progress string `yaml:"progress"`
	// GPU marks a step that needs a GPU: it waits until one is free by the model's section gpu.
	GPU bool `yaml:"gpu"`
	// Collect copies files of the command into the release: it maps a path below the command's directory to a name in
	// the release, as in {out/model.pkl: model.pkl}.
	Collect map[string]string `yaml:"collect"`
	// Result is a file of figures that the command writes, such as {"accuracy": 0.93}. They are shown with the run, and
	// promote.figures can bound them. The path is relative to the command's directory or begins with a variable.
	Result string `yaml:"result"`
	// Checkpoints marks a command that saves its progress: it is stopped when the quiet hours end, and resumes in the
	// next ones.
	Checkpoints bool `yaml:"checkpoints"`
}

// IncludeStep includes the steps of another pipeline.
type IncludeStep struct {
	// Pipeline is the name of another pipeline of the model; its steps are included here.
	Pipeline string `yaml:"pipeline"`
}

// StepKind is how to handle an unknown outcome.
type StepKind string

// The kinds of commands.
const (
	KindPure     StepKind = "pure"     // only writes below its own directories: may be repeated
	KindConverge StepKind = "converge" // may be repeated if its probe does not find its effect
	KindOnce     StepKind = "once"     // may have had its effect: is not repeated
)

// Title returns the step's name, by default that of its built-in.
func (s StepConfig) Title() string {
	if name := s.Common().Name; name != "" {
		return name
	}
	return string(s.Builtin())
}

// Common returns the keys that every step may have; empty for a step that could not be read.
func (s StepConfig) Common() StepCommon {
	if s.StepType == nil {
		return StepCommon{}
	}
	return *s.common()
}

// Builtin returns the name of the built-in step; "" for a command and for an included pipeline.
func (s StepConfig) Builtin() Builtin {
	if s.StepType == nil {
		return ""
	}
	return s.builtin()
}

// Command returns the step as a CommandStep; nil for other kinds.
func (s StepConfig) Command() *CommandStep {
	c, _ := s.StepType.(*CommandStep)
	return c
}

// NeedsGPU reports whether the step waits for the GPU.
func (s StepConfig) NeedsGPU() bool {
	c := s.Command()
	return c != nil && c.GPU
}

// Checkpoints reports whether the step is a command that can be stopped and resumed later.
func (s StepConfig) Checkpoints() bool {
	c := s.Command()
	return c != nil && c.Checkpoints
}

// Paths resolves the step's relative paths. dir is the working directory of the model's commands, "" for none.
func (s StepConfig) Paths(dir string, abs func(string) string) {
	if s.StepType != nil {
		s.paths(dir, abs)
	}
}

func (s *StepCommon) common() *StepCommon { return s }

func (*StepCommon) paths(string, func(string) string) {}

func (s *ExportStep) builtin() Builtin  { return DoExport }
func (s *GateStep) builtin() Builtin    { return DoGate }
func (s *ReleaseStep) builtin() Builtin { return DoRelease }
func (s *DeployStep) builtin() Builtin  { return DoDeploy }
func (s *VerifyStep) builtin() Builtin  { return DoVerify }
func (s *CommandStep) builtin() Builtin { return "" }

func (s *DeployStep) paths(dir string, _ func(string) string) { s.dir = dir }

func (s *CommandStep) paths(dir string, abs func(string) string) { s.Dir = cmp.Or(abs(s.Dir), dir) }

func (s *IncludeStep) common() *StepCommon                  { return &StepCommon{} }
func (s *IncludeStep) builtin() Builtin                     { return "" }
func (s *IncludeStep) paths(string, func(string) string)    {}
func (s *IncludeStep) resolve(*Step, *DeployConfig, string) {}
func (s *IncludeStep) validate(*check.Problems, string)     {}
