package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// The kinds of the jobs of deploy.compose.
const (
	JobComposeDeploy = "compose-deploy"
	JobComposeBack   = "compose-back"
)

// composeStrategy builds an image with the release's files and replaces the container. The link `current` points to the
// release as with every strategy.
type composeStrategy struct{ *Executor }

func (s composeStrategy) deploy(ctx context.Context, p Plan, a Action, step Step, done []Outcome) (Outcome, error) {
	if !runner.Claimed(AttemptDir(p.RunDir, step.Name, a.Attempt)) {
		linked, err := linkStrategy(s).deploy(ctx, p, a, step, done)
		if err != nil || linked.Class != store.StepOK {
			return linked, err
		}
	}
	out, data, err := s.child(ctx, p, a, withDocker(step), JobComposeDeploy, func(string) (any, error) {
		return s.composeInput(ctx, p, step)
	})
	return withInstance(out, data), err
}

func (s composeStrategy) undeploy(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	back, err := s.unrelease(ctx, p)
	if err != nil || back.Class != store.StepOK {
		return back, err
	}
	if _, err := os.Lstat(composeTrace(p)); err != nil && p.Rollback == nil {
		return back, nil // no attempt has inspected the service
	}
	out, data, err := s.child(ctx, p, a, withDocker(step), JobComposeBack, func(string) (any, error) {
		return s.composeInput(ctx, p, step)
	})
	if err == nil && out.Class == store.StepOK {
		out.Detail = back.Detail + "; " + out.Detail
	}
	return withInstance(out, data), err
}

// composeTrace returns the path of the file in which a run records the service's state before any change.
func composeTrace(p Plan) string { return filepath.Join(p.RunDir, "compose.json") }

// composeKept returns the directory with the files of former releases and with the names of their images.
func composeKept(modelDir string) string { return filepath.Join(modelDir, "kept") }

// composeInput returns the input of the compose jobs of a run.
func (x *Executor) composeInput(ctx context.Context, p Plan, step Step) (compose.Input, error) {
	in := compose.Input{
		Service: step.Compose.service(), Health: p.Serving.Health, Trace: composeTrace(p), Kept: composeKept(p.ModelDir),
		Candidate: compose.Release{Digest: p.refused(), Dir: p.releaseDir()},
		Former:    compose.Release{Digest: p.Champion}, Always: p.Rollback != nil,
	}
	if p.Champion == "" || IsAdopted(p.Champion) {
		return in, nil
	}
	dir, err := x.championDir(ctx, p)
	in.Former.Dir = dir
	return in, err
}

// withInstance adds the container in service to an outcome.
func withInstance(out Outcome, data json.RawMessage) Outcome {
	var d compose.Deployed
	if data != nil && json.Unmarshal(data, &d) == nil && d.Container != "" {
		out.Facts.Deploy = &d
	}
	return out
}

// withDocker adds the daemon's variables for the Docker engine (DOCKER_HOST and others) to the environment of a step.
func withDocker(step Step) Step {
	env := map[string]string{}
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "DOCKER_") {
			env[name] = value
		}
	}
	for name, value := range step.Env {
		env[name] = value
	}
	step.Env = env
	return step
}

// ForgetImage removes what was kept of a release that cannot be deployed any more: its image's name, and the former
// files of the build context.
func ForgetImage(ctx context.Context, modelDir, digest string) error {
	if err := compose.Forget(ctx, composeKept(modelDir), digest); err != nil {
		return fmt.Errorf("remove the image of release %s: %w", digest, err)
	}
	return nil
}
