package actions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// commandWithGPU runs a step's command, with the GPU held if it needs one.
func (x *Executor) commandWithGPU(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if !step.GPU {
		return x.command(ctx, p, a, step, step.Argv)
	}
	// A command that is under way already holds its memory: to wait for it to be free would be to wait for its end.
	if runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		return x.command(ctx, p, a, step, step.Argv)
	}
	if x.GPU == nil {
		return Outcome{
			Class:  store.StepBlocked,
			Detail: "the step needs a GPU and none is configured: set gpu: for the model",
		}, nil
	}
	env, release, out, err := x.acquire(ctx, p, step)
	if err != nil || release == nil {
		return out, err
	}
	defer release()
	step.Env = maps.Clone(step.Env)
	if step.Env == nil {
		step.Env = map[string]string{}
	}
	maps.Copy(step.Env, env)
	return x.command(ctx, p, a, step, step.Argv)
}

// acquire waits for the GPU; without it, it returns the step's outcome and no release.
func (x *Executor) acquire(ctx context.Context, p Plan, step Step) (env map[string]string, release func(), out Outcome,
	err error,
) {
	ctx, stop := x.bounded(ctx, p, step)
	defer stop()
	env, release, err = x.GPU.Acquire(ctx, GPUStep{Model: p.Model, Run: p.Run, Step: step.Name})
	if err == nil {
		return env, release, out, nil
	}
	var blocked *BlockedError
	if errors.As(err, &blocked) {
		return nil, nil, Outcome{Class: store.StepBlocked, Detail: blocked.Reason, Why: blocked.Why}, nil
	}
	out, err = failed(ctx, store.StepFailed, err)
	out, err = ended(step, out, err)
	return nil, nil, out, err
}

// command runs a step's command, or re-attaches to it after a restart.
func (x *Executor) command(ctx context.Context, p Plan, a Action, step Step, argv []string) (Outcome, error) {
	spec, err := x.spec(p, a, step, argv)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	exit, cancelled, err := x.runCommand(ctx, p, a, spec)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if cancelled != nil && exit.Class != store.StepOK {
		return cancelledBy(cancelled.by), nil
	}
	out := Outcome{Class: exit.Class, Detail: exit.Detail}
	if out.Class == store.StepOK && out.Detail == "" {
		out.Detail = "exit status 0 after " + exit.Ended.Sub(exit.Started).Round(10*time.Millisecond).String()
	}
	if out.Class != store.StepOK {
		out.Detail = fmt.Sprintf("%s: %s; its output: %s", step.Name, out.Detail, runner.LogFile(spec.Dir))
	}
	return out, nil
}

// runCommand waits for the command's end; when somebody cancels the run, it brings that end about. The step's time is
// the supervisor's to enforce, also while no daemon is there.
func (x *Executor) runCommand(ctx context.Context, p Plan, a Action, spec runner.Spec) (runner.Exit, *cancelledError,
	error,
) {
	if a.Kind == ActUndo {
		exit, err := x.Runner.Run(ctx, spec)
		return exit, nil, err
	}
	watched, stop := x.untilCancelled(ctx, p)
	defer stop()
	exit, err := x.Runner.Run(watched, spec)
	var cancelled *cancelledError
	if !errors.As(err, &cancelled) {
		return exit, nil, err
	}
	if err := x.durably(ctx, func() error { return x.Runner.Kill(spec) }); err != nil {
		return exit, cancelled, err
	}
	exit, err = x.Runner.Run(ctx, spec)
	return exit, cancelled, err
}

// spec fixes one attempt of a command.
func (x *Executor) spec(p Plan, a Action, step Step, argv []string) (runner.Spec, error) {
	name := step.Name
	if a.Kind == ActUndo {
		name = undoPrefix + name
	}
	dir := AttemptDir(p.RunDir, name, a.Attempt)
	work := filepath.Join(dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return runner.Spec{}, err
	}
	cwd := step.Dir
	if cwd == "" {
		cwd = work
	}
	id := fmt.Sprintf("%s/%s/a%d", p.Run, name, a.Attempt)
	vars := map[string]string{
		runner.AttemptVar:          id,
		"RETRAIND_RUN":             p.Run,
		"RETRAIND_STEP":            step.Name,
		"RETRAIND_MODEL":           p.Model,
		"RETRAIND_PIPELINE":        p.Pipeline,
		"RETRAIND_TARGET":          p.targets()[0].Name,
		"RETRAIND_DATA_DIR":        p.dataDir(),
		"RETRAIND_RELEASE_DIR":     p.releaseDir(),
		"RETRAIND_MODEL_DIR":       p.ModelDir,
		"RETRAIND_CURRENT":         CurrentLink(p.ModelDir),
		"RETRAIND_CHAMPION":        p.Champion,
		"RETRAIND_IDEMPOTENCY_KEY": p.Run + "/" + name,
		"RETRAIND_PROGRESS":        runner.ProgressFile(dir),
		"RETRAIND_ORIGIN":          watch.OriginOf(p.Run),
	}
	if a.Kind == ActUndo {
		vars["RETRAIND_UNDO"] = "1"
	}
	maps.Copy(vars, step.Env)
	env := runner.BaseEnv()
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, k+"=") })
		env = append(env, k+"="+vars[k])
	}
	return runner.Spec{Dir: dir, ID: id, Argv: argv, Env: env, Cwd: cwd, Timeout: p.timeout(step)}, nil
}

// AttemptDir is where one attempt of a step keeps its record, output and progress.
func AttemptDir(runDir, step string, attempt int) string {
	return filepath.Join(runDir, "steps", step, fmt.Sprintf("a%d", attempt))
}
