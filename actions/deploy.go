package actions

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// servesRelease reports whether a step brings the release into service.
func (b Builtin) servesRelease() bool { return b == DoRelease || b == DoDeploy }

// deploy brings the candidate into service by the model's strategy. Entered again it finds the link where it should be,
// and the restart that was begun.
func (x *Executor) deploy(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error) {
	linked := Outcome{Class: store.StepOK}
	if !runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		bounded, stop := x.bounded(ctx, p, step)
		out, err := x.release(bounded, p, done)
		stop()
		if linked, err = ended(step, out, err); err != nil || linked.Class != store.StepOK {
			return linked, err
		}
	}
	if step.Restart == nil {
		return linked, nil
	}
	return x.restart(ctx, p, a, step)
}

// undeploy brings the former release back into service. Where the deployment changed nothing, it touches nothing.
func (x *Executor) undeploy(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	touched, err := x.deployed(ctx, p, step)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	out, err := x.unrelease(ctx, p)
	if err != nil || out.Class != store.StepOK || step.Restart == nil || !touched {
		return out, err
	}
	restarted, err := x.restart(ctx, p, a, step)
	if err == nil && restarted.Class == store.StepOK {
		restarted.Detail = out.Detail + ", and the service was restarted"
	}
	return restarted, err
}

// deployed reports whether the run may have changed what serves: `current` names another release than the champion, or a
// restart was begun. A run that only takes a release back does so always.
func (x *Executor) deployed(ctx context.Context, p Plan, step Step) (bool, error) {
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
	for attempt := 1; attempt <= step.Retries+4; attempt++ { // as many as Next may make
		if runner.Claimed(AttemptDir(p.RunDir, step.Name, attempt)) {
			return true, nil
		}
	}
	return false, nil
}

// restart restarts the service as a command under a supervisor.
func (x *Executor) restart(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	argv, err := step.Restart.argv(ctx)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	return x.command(ctx, p, a, step, argv)
}

// argv is the command of a restart.
func (r *RestartConfig) argv(ctx context.Context) ([]string, error) {
	switch {
	case r.Unit != "":
		return []string{"systemctl", "--no-ask-password", "restart", r.Unit}, nil
	case r.Compose != nil:
		compose, err := composeCommand(ctx)
		return append(compose, "restart", r.Compose.Service), err
	}
	return r.Exec, nil
}

// composeCommand is the command line of docker compose: the plugin of docker, else the program of version 1.
func composeCommand(ctx context.Context) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	pluginErr := exec.CommandContext(ctx, "docker", "compose", "version").Run()
	if pluginErr == nil {
		return []string{"docker", "compose"}, nil
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}, nil
	}
	return nil, fmt.Errorf("docker compose: %w, and docker-compose is not in PATH: install one of the two", pluginErr)
}
