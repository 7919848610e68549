package actions

import (
	"context"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// inQuietHours runs a command. A command that saves checkpoints is stopped when the quiet hours end. The run then ends
// as blocked, so that everything it stopped is started again. In the next run the same step resumes from the command's
// checkpoint. The run also ends as blocked if the command is done, but the quiet hours are too short for the expected
// time of the later steps.
func (x *Executor) inQuietHours(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if !step.Checkpoints || p.Until.IsZero() {
		return x.commandWithGPU(ctx, p, a, step)
	}
	over := Outcome{
		Class: store.StepBlocked, Why: policy.ReasonWindowClosed,
		Detail: step.Name + " is not finished at the end of the quiet hours; it continues in the next quiet hours",
	}
	if !runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		if !now().Before(p.Until) {
			return over, nil
		}
		step.Timeout = p.timeout(step, ActDo) // includes the wait for the GPU
	}
	out, err := x.commandWithGPU(ctx, p, a, step)
	switch left := p.Until.Sub(now()); {
	case err != nil:
	case out.Class == store.StepTimeout && left <= 0:
		return over, nil
	case out.Class == store.StepOK && left < step.Rest:
		return Outcome{
			Class: store.StepBlocked, Why: policy.ReasonWindowTooShort,
			Detail: fmt.Sprintf("%s is done, but the steps after it are expected to take %s, and the quiet hours end in %s; these steps run in the next quiet hours",
				step.Name, step.Rest.Round(time.Second), max(0, left).Round(time.Second)),
		}, nil
	}
	return out, err
}

// timeout returns how long the command of an action may take from now on. The quiet hours do not limit an undo.
func (p Plan) timeout(step Step, kind ActionKind) time.Duration {
	if kind == ActUndo || !step.Checkpoints || p.Until.IsZero() {
		return step.Timeout
	}
	return min(step.Timeout, max(p.Until.Sub(now()), time.Millisecond))
}
