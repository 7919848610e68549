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

// command runs a step's command, or re-attaches to it after a restart.
func (x *Executor) command(ctx context.Context, p Plan, a Action, step Step, argv []string) (Outcome, error) {
	return x.commandUntil(ctx, p, a, step, argv, held{})
}

// held is the GPU lease of a command, and the channel that says when the command must be stopped.
type held struct {
	lease *os.File             // passed to the command's supervisor; nil for none
	stop  <-chan *BlockedError // receives the reason if the command must be stopped
}

// commandUntil does what command does, for a step that may hold a GPU.
func (x *Executor) commandUntil(
	ctx context.Context, p Plan, a Action, step Step, argv []string, h held,
) (Outcome, error) {
	spec, err := x.spec(p, a, step, argv)
	if h.lease != nil {
		spec.Inherit = []*os.File{h.lease}
		defer h.lease.Close() // needed if the runner was never called; otherwise the runner has closed the file
	}
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	exit, because, err := x.runCommand(ctx, p, a, spec, h.stop)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if because != nil && exit.Class != store.StepOK {
		return stoppedBy(because), nil
	}
	out := Outcome{Class: exit.Class, Detail: exit.Detail}
	if out.Class == store.StepUnknown && a.Kind == ActDo && step.Kind == KindConverge {
		if out, err = x.probe(ctx, p, a, step, out); err != nil {
			return Outcome{}, err
		}
	}
	if out.Class == store.StepOK && out.Detail == "" {
		out.Detail = "exit status 0 after " + exit.Ended.Sub(exit.Started).Round(10*time.Millisecond).String()
	}
	if out.Class == store.StepOK && a.Kind == ActDo && len(step.Collect) > 0 {
		detail, err := collect(spec.Cwd, p.releaseDir(), step.Collect, p.Created)
		if err != nil {
			return failed(ctx, store.StepFailed, fmt.Errorf("%s: %w", step.Name, err))
		}
		out.Detail += "; " + detail
	}
	if out.Class == store.StepOK && a.Kind == ActDo && step.Result != "" {
		path := resultPath(step.Result, spec.Env, spec.Cwd)
		figures, err := readFigures(path, exit.Started)
		if err != nil {
			return failed(ctx, store.StepFailed, fmt.Errorf("%s: %w", step.Name, err))
		}
		out.Facts.Figures = figures
		out.Detail += "; " + figuresText(figures)
	}
	if out.Class != store.StepOK {
		out.Detail = fmt.Sprintf("%s: %s; its output: %s", step.Name, out.Detail, runner.LogFile(spec.Dir))
	}
	return out, nil
}

// runCommand runs a command and waits for its end. If the run is cancelled, or a reason arrives on stop, it kills the
// command and returns the reason; an undo always runs to its end. The supervisor enforces the step's timeout, even
// while no daemon runs.
func (x *Executor) runCommand(
	ctx context.Context, p Plan, a Action, spec runner.Spec, stop <-chan *BlockedError,
) (exit runner.Exit, because, err error) {
	if a.Kind == ActUndo {
		exit, err = x.Runner.Run(ctx, spec)
		return exit, nil, err
	}
	uncancelled, unwatch := x.untilCancelled(ctx, p)
	defer unwatch()
	watched, end := context.WithCancelCause(uncancelled)
	defer end(nil)
	go func() {
		select {
		case why := <-stop:
			end(why)
		case <-watched.Done():
		}
	}()
	exit, err = x.Runner.Run(watched, spec)
	var cancelled *cancelledError
	var blocked *BlockedError
	if !errors.As(err, &cancelled) && !errors.As(err, &blocked) {
		return exit, nil, err
	}
	because = err
	if err := x.durably(ctx, func() error { return x.Runner.Kill(spec) }); err != nil {
		return exit, because, err
	}
	exit, err = x.Runner.Run(ctx, spec)
	return exit, because, err
}

// stoppedBy returns the outcome of a command that was stopped for a reason.
func stoppedBy(because error) Outcome {
	var blocked *BlockedError
	if errors.As(because, &blocked) {
		return Outcome{Class: store.StepBlocked, Detail: blocked.Reason, Why: blocked.Why}
	}
	var cancelled *cancelledError
	_ = errors.As(because, &cancelled)
	return cancelledBy(cancelled.by)
}

// spec returns the specification of one attempt of a command.
func (x *Executor) spec(p Plan, a Action, step Step, argv []string) (runner.Spec, error) {
	return x.specIn(p, a, step, argv, attemptName(step, a))
}

// specIn does what spec does, for an attempt directory with the given name.
func (x *Executor) specIn(p Plan, a Action, step Step, argv []string, name string) (runner.Spec, error) {
	dir := AttemptDir(p.RunDir, name, a.Attempt)
	work := filepath.Join(dir, "work")
	for _, d := range []string{work, p.workDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return runner.Spec{}, err
		}
	}
	cwd := step.Dir
	if cwd == "" {
		cwd = work
	}
	id := attemptID(p, name, a.Attempt)
	vars := p.vars(step)
	marks := map[string]string{runner.AttemptVar: id, runner.ProgressVar: runner.ProgressFile(dir)}
	maps.Copy(vars, marks)
	vars["RETRAIND_IDEMPOTENCY_KEY"], vars["RETRAIND_PREDICTIONS"] = p.Run+"/"+name, p.predictions()
	if a.Kind == ActUndo {
		vars["RETRAIND_UNDO"] = "1"
	}
	if step.Fill {
		argv = fill(argv, vars)
	}
	maps.Copy(vars, step.Env)
	maps.Copy(vars, marks) // the processes of the attempt are found by them, whatever the configuration sets
	env := runner.BaseEnv()
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		env = slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, k+"=") })
		env = append(env, k+"="+vars[k])
	}
	return runner.Spec{
		Dir: dir, ID: id, Argv: argv, Env: env, Cwd: cwd, Timeout: p.timeout(step, a.Kind), Progress: step.Progress,
	}, nil
}

// vars returns the variables of a run that are the same in each attempt of a step.
func (p Plan) vars(step Step) map[string]string {
	return map[string]string{
		"RETRAIND_RUN":          p.Run,
		"RETRAIND_STEP":         step.Name,
		"RETRAIND_MODEL":        p.Model,
		"RETRAIND_PIPELINE":     p.Pipeline,
		"RETRAIND_TARGET":       p.targets()[0].Name,
		"RETRAIND_DATA_DIR":     p.dataDir(),
		"RETRAIND_RELEASE_DIR":  p.releaseDir(),
		"RETRAIND_MODEL_DIR":    p.ModelDir,
		"RETRAIND_CURRENT":      CurrentLink(p.ModelDir),
		"RETRAIND_CHAMPION":     p.Champion,
		"RETRAIND_CHAMPION_DIR": p.ChampionDir,
		"RETRAIND_WORK_DIR":     p.workDir(),
		"RETRAIND_ORIGIN":       watch.OriginOf(p.Run),
	}
}

// attemptName returns the name of a step's attempts in directories and ids; the attempts of its undo have another name.
func attemptName(step Step, a Action) string {
	if a.Kind == ActUndo {
		return undoPrefix + step.Name
	}
	return step.Name
}

// attemptID returns the unique id of an attempt. All processes of the attempt have it in their environment.
func attemptID(p Plan, step string, attempt int) string {
	return fmt.Sprintf("%s/%s/a%d", p.Run, step, attempt)
}

// AttemptDir returns the directory of one attempt of a step, which contains its record, output and progress.
func AttemptDir(runDir, step string, attempt int) string {
	return filepath.Join(runDir, "steps", step, fmt.Sprintf("a%d", attempt))
}
