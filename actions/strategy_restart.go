package actions

import (
	"context"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// restartStrategy sets the link and restarts the service, which reads its model at start.
type restartStrategy struct{ *Executor }

func (s restartStrategy) deploy(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error) {
	if !runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		linked, err := linkStrategy(s).deploy(ctx, p, a, step, done)
		if err != nil || linked.Class != store.StepOK {
			return linked, err
		}
	}
	return s.restart(ctx, p, a, step)
}

func (s restartStrategy) undeploy(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	touched, err := s.touched(ctx, p, step)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	out, err := s.unrelease(ctx, p)
	if err != nil || out.Class != store.StepOK || !touched {
		return out, err
	}
	restarted, err := s.restart(ctx, p, a, step)
	if err == nil && restarted.Class == store.StepOK {
		restarted.Detail = out.Detail + ", and the service was restarted"
	}
	return restarted, err
}

// touched reports whether the run may have changed what is served: `current` does not point to the champion, or an
// attempt of the step was started. It is always true for a run that only rolls a release back.
func (x *Executor) touched(ctx context.Context, p Plan, step Step) (bool, error) {
	if p.Rollback != nil {
		return true, nil
	}
	dir, err := x.championDir(ctx, p)
	if err != nil {
		return false, err
	}
	now, err := current(p.ModelDir)
	if err != nil || now != dir {
		return true, err
	}
	for attempt := 1; attempt <= step.Retries+4; attempt++ { // the limit of attempts in Next
		if runner.Claimed(AttemptDir(p.RunDir, step.Name, attempt)) {
			return true, nil
		}
	}
	return false, nil
}

// restart restarts the service by a command under a supervisor.
func (x *Executor) restart(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	argv, err := step.Restart.argv(ctx)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if step.Restart.Compose != nil {
		step = withDocker(step)
	}
	return x.command(ctx, p, a, step, argv)
}

// argv returns the command that restarts the service.
func (r *RestartConfig) argv(ctx context.Context) ([]string, error) {
	switch {
	case r.Unit != "":
		return []string{"systemctl", "--no-ask-password", "restart", r.Unit}, nil
	case r.Compose != nil:
		program, _, err := compose.FindCLI(ctx)
		return append(program, "restart", r.Compose.Service), err
	}
	return r.Exec, nil
}
