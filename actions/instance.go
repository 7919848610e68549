package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/store"
)

// enginePatience is how long a verification waits for a Docker engine that does not answer.
const enginePatience = 30 * time.Second

// onInstance accepts a verification only if the container that this run deployed is still in service. If that container
// was replaced or restarted during the verification, another one may have answered. deployed is nil if the run deployed
// no container; then nothing is checked.
func onInstance(ctx context.Context, out Outcome, deployed *compose.Deployed) (Outcome, error) {
	if deployed == nil || out.Class != store.StepOK {
		return out, nil
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 200 * time.Millisecond
	why, err := backoff.Retry(ctx, func() (string, error) {
		why, err := instance(ctx, *deployed)
		if err != nil && !errors.Is(err, docker.ErrAway) {
			err = backoff.Permanent(err)
		}
		return why, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(enginePatience))
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx)
	}
	if err != nil {
		why = "it is unknown which container is in service: " + err.Error()
	}
	if why != "" {
		out.Class, out.Detail = store.StepNotProved, why
	}
	return out, nil
}

// instance returns why the deployed container is not the one in service, "" if it is.
func instance(ctx context.Context, d compose.Deployed) (string, error) {
	engine, err := docker.New("")
	if err != nil {
		return "", err
	}
	defer engine.Close()
	c, err := engine.Container(ctx, d.Container)
	name := fmt.Sprintf("container %s of service %s", docker.Short(d.Container), d.Service)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return name + ", which was deployed, has been removed or replaced since then", nil
	case err != nil:
		return "", err
	case !c.Running():
		return fmt.Sprintf("%s, which was deployed, is in state %s", name, c.State), nil
	case !c.Started.Equal(d.Started):
		return fmt.Sprintf("%s was restarted at %s, after the deployment: does it crash?", name,
			c.Started.UTC().Format(time.RFC3339)), nil
	}
	return "", nil
}

// deployedBy returns the container that was deployed last by actions of the given kind, nil if there is none.
func deployedBy(done []Outcome, kind ActionKind) *compose.Deployed {
	for i := len(done) - 1; i >= 0; i-- {
		if done[i].Kind == kind && done[i].Facts.Deploy != nil {
			return done[i].Facts.Deploy
		}
	}
	return nil
}
