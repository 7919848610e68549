package actions

import (
	"cmp"
	"time"

	"github.com/retraind/retraind/actions/weights"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
)

// Plan is everything that a run needs, fixed when the run is created: a reload of the configuration, an upgrade or a
// restart does not change it. It is the workflow's input.
type Plan struct {
	Run      string    `json:"run"`
	Model    string    `json:"model"`
	Pipeline string    `json:"pipeline"`
	Trigger  string    `json:"trigger"` // why, in one sentence
	Forced   bool      `json:"forced"`
	Policy   string    `json:"policy"`   // digest of the policy that decided
	Decision int64     `json:"decision"` // id of the decision
	Created  time.Time `json:"created"`
	// Cause is the problem that the run should fix.
	Cause Cause `json:"cause,omitzero"`
	// Code is the digest of the steps and of the files that they name.
	Code     string `json:"code,omitempty"`
	Champion string `json:"champion"` // digest of the deployed release; "" before the first
	// ChampionDir is the directory of the champion's files; "" before the first release and for an adopted one.
	ChampionDir string         `json:"champion_dir,omitempty"`
	Steps       []Step         `json:"steps"`
	Promote     PromoteConfig  `json:"promote"`
	Serving     serving.Config `json:"serving"`
	// ModelDir contains `current` and releases/; RunDir is this run's directory.
	ModelDir string `json:"model_dir"`
	RunDir   string `json:"run_dir"`
	// Retention is which of the model's files stay on disk at the end of the run; nil for the defaults.
	Retention *RetentionConfig `json:"retention,omitempty"`
	// Probation is the probation after a promotion; nil for none.
	Probation *policy.Probation `json:"probation,omitempty"`
	// Parent is set only for a run that repeats another one.
	Parent *Parent `json:"parent,omitempty"`
	// Rollback is set only for a run that rolls a release back.
	Rollback *Rollback `json:"back,omitempty"`
	// Stop lists what is stopped while the steps of the GPU part run. Plans of earlier versions do not have it.
	Stop []gpu.StopConfig `json:"stop,omitempty"`
	// Until is when steps that save checkpoints are stopped: the end of the quiet hours, less the reserve; zero for never.
	Until time.Time `json:"until,omitzero"`
}

// Step is one resolved step.
type Step struct {
	Name string   `json:"name"`
	Do   Builtin  `json:"do,omitempty"`
	Argv []string `json:"argv,omitempty"`
	Undo []string `json:"undo,omitempty"`
	// Probe checks whether the effect of a step of kind converge is there.
	Probe []string `json:"probe,omitempty"`
	// Progress is the pattern that finds the progress in the command's output.
	Progress string `json:"progress,omitempty"`
	Dir      string `json:"dir,omitempty"`
	// Fill replaces $RETRAIND_ variables in the arguments before the start. Plans of earlier versions do not have it.
	Fill    bool              `json:"fill,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
	Timeout time.Duration     `json:"timeout"`
	Retries int               `json:"retries"`
	Kind    StepKind          `json:"kind"`
	GPU     bool              `json:"gpu,omitempty"`
	// OllamaOnGPU means that the step asks models of an Ollama server that uses the host's GPU. Plans of earlier
	// versions do not have it.
	OllamaOnGPU bool `json:"ollama_on_gpu,omitempty"`
	// Restart is how the step deploy restarts the service; nil if the service follows the link.
	Restart *RestartConfig `json:"restart,omitempty"`
	// Compose is the service whose container the step deploy replaces; nil for other strategies.
	Compose *ComposeDeploy `json:"compose,omitempty"`
	// Act is the operation of the steps compose, unit and ollama; nil for others.
	Act *Act `json:"act,omitempty"`
	// Predict is how the step predict asks the candidate; nil if a command does.
	Predict *PredictPlan `json:"predict,omitempty"`
	// Ollama is how the steps stage and deploy keep releases on an Ollama server; nil for other strategies.
	Ollama *OllamaDeploy `json:"ollama,omitempty"`
	// Place maps exported files to their paths below Dir; Collect maps files that the command writes to their names in
	// the release.
	Place   map[string]string `json:"place,omitempty"`
	Collect map[string]string `json:"collect,omitempty"`
	// Label is how the step label asks a larger model.
	Label *LabelPlan `json:"label,omitempty"`
	// Chat means that the export also writes messages.
	Chat bool `json:"chat,omitempty"`
	// Check are the files that the step check examines; variables in them are replaced before the start.
	Check *weights.Chain `json:"check,omitempty"`
	// Result is the path of the command's result file.
	Result string `json:"result,omitempty"`
	// Checkpoints means that the command resumes where it was stopped. Rest is the expected duration of the steps after
	// it.
	Checkpoints bool          `json:"checkpoints,omitempty"`
	Rest        time.Duration `json:"rest,omitempty"`
}

// builtinTimeout is the default timeout of most built-in steps.
const builtinTimeout = 10 * time.Minute

// composeTimeout is the default timeout of a build and a deployment with compose.
const composeTimeout = 30 * time.Minute

// modelTimeout is the default timeout for creating a model of many gigabytes on an Ollama server.
const modelTimeout = 2 * time.Hour

// Resolve turns a configured pipeline into steps. deploy is the model's strategy, nil for the default; self is the path
// of this binary.
func Resolve(pipeline []StepConfig, deploy *DeployConfig, self string) []Step {
	steps := make([]Step, 0, len(pipeline))
	for _, c := range pipeline {
		common := c.Common()
		s := Step{Name: c.Title(), Do: c.Builtin(), Timeout: common.Timeout.D(), Retries: common.Retries, Kind: KindPure}
		c.resolve(&s, deploy, self)
		if s.Timeout == 0 {
			s.Timeout = 12 * time.Hour
			if s.Do != "" {
				s.Timeout = builtinTimeout
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// resolve adds nothing: many built-in steps have no keys of their own.
func (*StepCommon) resolve(*Step, *DeployConfig, string) {}

func (c *ExportStep) resolve(s *Step, _ *DeployConfig, _ string) {
	if len(c.Place) > 0 {
		s.Place, s.Dir = c.Place, c.dir
	}
	s.Chat = c.Format == FormatChat
}

func (c *DeployStep) resolve(s *Step, deploy *DeployConfig, self string) {
	switch {
	case deploy == nil:
		return
	case deploy.Compose != nil:
		s.Compose = deploy.Compose
		s.Timeout = cmp.Or(s.Timeout, composeTimeout)
		return
	case deploy.Ollama != nil:
		s.Ollama, s.Timeout = deploy.Ollama, cmp.Or(s.Timeout, modelTimeout)
		return
	case deploy.Restart == nil:
		return
	}
	restart := *deploy.Restart
	restart.Exec = command(restart.Exec, false, self)
	s.Restart, s.Dir, s.Fill = &restart, c.dir, true
	if restart.Compose != nil {
		s.Dir = restart.Compose.Dir // compose searches its file there
	}
}

func (c *CommandStep) resolve(s *Step, _ *DeployConfig, self string) {
	s.Argv, s.Undo = command(c.Exec, c.Shell, self), command(c.Undo, c.Shell, self)
	s.Dir, s.Env, s.GPU, s.Checkpoints, s.Fill = c.Dir, c.Env, c.GPU, c.Checkpoints, !c.Shell
	s.Collect, s.Result = c.Collect, c.Result
	s.Probe, s.Progress = command(c.Probe, c.Shell, self), c.Progress
	s.Kind = c.kind()
}

func command(argv []string, shell bool, self string) []string {
	switch {
	case len(argv) == 0:
		return nil
	case shell:
		return []string{"/bin/sh", "-c", argv[0]}
	case argv[0] == "retraind":
		return append([]string{self}, argv[1:]...)
	}
	return argv
}
