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
)

// cancelPoll is how often a running command is checked for the wish to cancel its run.
const cancelPoll = 500 * time.Millisecond

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
		return Outcome{Class: ClassBlocked, Detail: "the step needs a GPU and none is configured: set gpu: for the model"}, nil
	}
	env, release, err := x.GPU.Acquire(ctx, p.Model)
	var blocked *BlockedError
	if errors.As(err, &blocked) {
		return Outcome{Class: ClassBlocked, Detail: blocked.Reason}, nil
	}
	if err != nil {
		return failed(ctx, ClassFailed, err)
	}
	defer release()
	step.Env = maps.Clone(step.Env)
	if step.Env == nil {
		step.Env = map[string]string{}
	}
	maps.Copy(step.Env, env)
	return x.command(ctx, p, a, step, step.Argv)
}

// command runs a step's command, or re-attaches to it after a restart.
func (x *Executor) command(ctx context.Context, p Plan, a Action, step Step, argv []string) (Outcome, error) {
	spec, err := x.spec(p, a, step, argv)
	if err != nil {
		return failed(ctx, ClassFailed, err)
	}
	watched, stop := context.WithCancel(ctx)
	defer stop()
	cancelled := make(chan string, 1)
	if a.Kind == ActDo {
		go x.watchCancel(watched, p, spec, cancelled)
	}
	exit, err := x.Runner.Run(withoutTimeout(ctx), spec)
	stop()
	if err != nil {
		return failed(ctx, ClassFailed, err)
	}
	select {
	case by := <-cancelled:
		if exit.Class != runner.ClassOK {
			return Outcome{Class: ClassCancelled, Detail: "cancelled by " + by}, nil
		}
	default:
	}
	out := Outcome{Class: Class(exit.Class), Detail: exit.Detail}
	if out.Class == ClassOK && out.Detail == "" {
		out.Detail = "exit status 0 after " + exit.Ended.Sub(exit.Started).Round(10*time.Millisecond).String()
	}
	if out.Class != ClassOK {
		out.Detail = fmt.Sprintf("%s: %s; its output: %s", step.Name, out.Detail, runner.LogFile(spec.Dir))
	}
	return out, nil
}

// withoutTimeout keeps the end of the process but not the step's own time: the supervisor enforces that, also while no
// daemon is there.
func withoutTimeout(ctx context.Context) context.Context {
	out, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
			stop(cause)
		}
	})
	return out
}

// watchCancel ends the command when somebody cancels the run.
func (x *Executor) watchCancel(ctx context.Context, p Plan, spec runner.Spec, cancelled chan<- string) {
	tick := time.NewTicker(cancelPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var by string
		err := x.Store.View(ctx, func(t *store.Tx) error {
			r, err := t.Run(p.Run)
			by = r.Cancel
			return err
		})
		if err != nil || by == "" {
			continue
		}
		cancelled <- by
		if err := x.Runner.Kill(spec); err != nil {
			x.Log.Error("cancelled command could not be ended", "run_id", p.Run, "step", spec.ID, "err", err)
		}
		return
	}
}

// spec fixes one attempt of a command.
func (x *Executor) spec(p Plan, a Action, step Step, argv []string) (runner.Spec, error) {
	name := step.Name
	if a.Kind == ActUndo {
		name = "undo-" + name
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
		"RETRAIND_ORIGIN":          "retraind:" + p.Run,
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
	return runner.Spec{Dir: dir, ID: id, Argv: argv, Env: env, Cwd: cwd, Timeout: step.Timeout}, nil
}

// AttemptDir is where one attempt of a step keeps its record, output and progress.
func AttemptDir(runDir, step string, attempt int) string {
	return filepath.Join(runDir, "steps", step, fmt.Sprintf("a%d", attempt))
}
