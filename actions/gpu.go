package actions

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/store"
)

// GPU gives a step a GPU and looks at it meanwhile. Implemented over package gpu by the daemon.
type GPU interface {
	// Acquire waits until a GPU is free and holds it. It returns the variables that the step needs and the function that
	// lets go. A *BlockedError says who holds the GPU.
	Acquire(ctx context.Context, s GPUStep) (env map[string]string, release func(), err error)
	// Watch looks at the device until the returned function is called, with whether the step succeeded; that says in a
	// few words how the step used the device.
	Watch(ctx context.Context, w GPUWatch) (end func(succeeded bool) string)
}

// deviceVar names the step's device, by UUID, to its command.
const deviceVar = "CUDA_VISIBLE_DEVICES"

// GPUStep names the step that needs a GPU.
type GPUStep struct{ Model, Run, Step string }

// GPUWatch is what a watch over a step's device must know.
type GPUWatch struct {
	GPUStep
	Device  string              // UUID
	Attempt string              // value of runner.AttemptVar in the environment of the step's processes
	Found   func(text string)   // is called with what a person should see in the run
	Stop    func(*BlockedError) // is called when the step must not go on
}

// commandWithGPU runs a step's command, with the GPU held and watched if it needs one.
func (x *Executor) commandWithGPU(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if !step.GPU {
		return x.command(ctx, p, a, step, step.Argv)
	}
	// A command that is under way already holds its memory: to wait for it to be free would be to wait for its end.
	if dir := AttemptDir(p.RunDir, step.Name, a.Attempt); runner.Claimed(dir) {
		return x.commandWatched(ctx, p, a, step, deviceOf(dir))
	}
	if x.GPU == nil {
		return Outcome{
			Class: store.StepBlocked, Detail: "the step needs a GPU and none is configured: set gpu: for the model",
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
	return x.commandWatched(ctx, p, a, step, env[deviceVar])
}

// deviceOf reads which device an attempt was given; "" where that is not known.
func deviceOf(dir string) string {
	spec, err := runner.ReadSpec(dir)
	if err != nil {
		return ""
	}
	for _, v := range spec.Env {
		if uuid, ok := strings.CutPrefix(v, deviceVar+"="); ok {
			return uuid
		}
	}
	return ""
}

// commandWatched runs a command while its device is watched.
func (x *Executor) commandWatched(ctx context.Context, p Plan, a Action, step Step, device string) (Outcome, error) {
	if x.GPU == nil || device == "" {
		return x.command(ctx, p, a, step, step.Argv)
	}
	stop := make(chan *BlockedError, 1)
	end := x.GPU.Watch(ctx, GPUWatch{
		GPUStep: gpuStep(p, step), Device: device, Attempt: attemptID(p, step.Name, a.Attempt),
		Found: func(text string) { x.remark(ctx, p, a, text) },
		Stop: func(why *BlockedError) {
			select {
			case stop <- why:
			default: // it is stopped already
			}
		},
	})
	out, err := x.commandUntil(ctx, p, a, step, step.Argv, stop)
	if use := end(err == nil && out.Class == store.StepOK); use != "" {
		out.Detail += "; " + use
	}
	return out, err
}

func gpuStep(p Plan, step Step) GPUStep { return GPUStep{Model: p.Model, Run: p.Run, Step: step.Name} }

// remark shows a text with a step that is under way. It is for people: one that cannot be written is only logged.
func (x *Executor) remark(ctx context.Context, p Plan, a Action, text string) {
	err := x.Store.Update(ctx, "remark", func(t *store.Tx) error {
		s, known, err := stepOf(t, p, a)
		if err != nil || !known || s.State != store.StepRunning {
			return err
		}
		s.Detail = text
		return t.PutStep(s)
	})
	if err != nil && ctx.Err() == nil {
		x.Log.Warn("a remark about a step cannot be kept", "run_id", p.Run, "step", title(p, a), "detail", text, "err", err)
	}
}

// acquire waits for the GPU; without it, it returns the step's outcome and no release.
func (x *Executor) acquire(
	ctx context.Context, p Plan, step Step,
) (env map[string]string, release func(), out Outcome, err error) {
	ctx, stop := x.bounded(ctx, p, step)
	defer stop()
	env, release, err = x.GPU.Acquire(ctx, gpuStep(p, step))
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
