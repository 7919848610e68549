package actions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// child runs a long built-in step in a child process under the supervisor, or re-attaches to that process. The process
// does work of the given kind (see cmd/retraind) on an input. The function input is called only before the process is
// started; it may write files for the process into the directory of the attempt. child returns the data of the
// process's result beside the outcome, nil without a result.
//
// The result counts even if the process was killed right after it wrote the result, or its supervisor was lost. Without
// a result the outcome is the failure that the supervisor recorded; a process that ended with status 0 has failed too. If
// the run was cancelled or blocked, the result is ignored.
func (x *Executor) child(
	ctx context.Context, p Plan, a Action, step Step, kind string, input func(dir string) (any, error),
) (Outcome, json.RawMessage, error) {
	dir := AttemptDir(p.RunDir, attemptName(step, a), a.Attempt)
	if err := job.Prepare(dir, func() (any, error) { return input(dir) }); err != nil {
		if out, err := ended(step, Outcome{}, err); err == nil {
			return out, nil, nil
		}
		out, err := failed(ctx, store.StepFailed, fmt.Errorf("%s: %w", step.Name, err))
		return out, nil, err
	}
	step.Argv, step.Fill = []string{x.Self, "step", kind, dir}, false
	out, err := x.runChild(ctx, p, a, step)
	if err != nil || out.Class == store.StepCancelled || out.Class == store.StepBlocked {
		return out, nil, err
	}
	result, wrote, err := job.ReadResult(dir)
	switch {
	case err != nil:
		out, err = failed(ctx, store.StepFailed, err)
		return out, nil, err
	case !wrote && out.Class == store.StepOK:
		return Outcome{Class: store.StepFailed, Detail: step.Name + ": it ended without a result; its output: " +
			runner.LogFile(dir)}, nil, nil
	case !wrote:
		return out, nil, nil
	}
	out = Outcome{Class: result.Class, Detail: result.Detail, Why: result.Why}
	if out.Class != store.StepOK {
		out.Detail = fmt.Sprintf("%s: %s; its output: %s", step.Name, result.Detail, runner.LogFile(dir))
	}
	return out, result.Data, nil
}

// runChild runs the child's command. An undo does not wait for a GPU or for quiet hours.
func (x *Executor) runChild(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if a.Kind == ActUndo {
		return x.command(ctx, p, a, step, step.Argv)
	}
	return x.inQuietHours(ctx, p, a, step)
}
