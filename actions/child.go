package actions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// child does a long built-in step as a child under the supervisor, or re-attaches to it: the work of a kind (see
// cmd/retraind) on an input. input is called before the start only; it may write files into the directory of the attempt
// that the child reads. The data that the child found out is returned beside the outcome, nil where it left none.
//
// What the child wrote as its result counts, also where it was killed right after it or its supervisor was lost; without
// a result the supervisor's record does. A run that somebody cancelled is cancelled whatever the child wrote.
func (x *Executor) child(
	ctx context.Context, p Plan, a Action, step Step, kind string, input func(dir string) (any, error),
) (Outcome, json.RawMessage, error) {
	dir := AttemptDir(p.RunDir, attemptName(step, a), a.Attempt)
	if err := job.Prepare(dir, func() (any, error) { return input(dir) }); err != nil {
		out, err := failed(ctx, classOf(err), fmt.Errorf("%s: %w", step.Name, err))
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

// runChild runs the child's command. Taking back waits for no GPU and no quiet hours.
func (x *Executor) runChild(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if a.Kind == ActUndo {
		return x.command(ctx, p, a, step, step.Argv)
	}
	return x.inQuietHours(ctx, p, a, step)
}
