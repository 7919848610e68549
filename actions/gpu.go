package actions

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/store"
)

// GPU leases a GPU to a step, and watches the device while the step runs. The daemon implements it with package gpu.
type GPU interface {
	// Acquire waits until a GPU is free and leases it. For a step that computes by asking Ollama it leases the device
	// that the server will use. A *BlockedError names the holder of the GPU, or says why its lease cannot be taken.
	Acquire(ctx context.Context, s GPUStep) (GPUGrant, error)
	// Watch watches the device until end is called. The caller passes to end whether the step succeeded; end returns how
	// the step used the device.
	Watch(ctx context.Context, w GPUWatch) (end func(succeeded bool) GPUUse)
	// Free waits for the run's turn, stops what r.Stop names, and waits until the GPU's memory is free. Models that the
	// run's own steps have loaded are only unloaded, without being restored later. Free is idempotent: what is already
	// stopped stays stopped. It returns what it did; a *BlockedError names what could not be stopped.
	Free(ctx context.Context, s GPUStep, r Room) (string, error)
	// Restore unloads models that the run's own steps have loaded, starts what the run has stopped, and verifies that it
	// runs. If all is set, that includes what was stopped until the end of the run. It returns what runs again; the error
	// names what does not.
	Restore(ctx context.Context, s GPUStep, asked []AskedModel, all bool) (string, error)
}

// GPUGrant is a GPU granted to a step.
type GPUGrant struct {
	Env map[string]string // variables for the step; none if the step does not use the GPU itself
	// Lease is the open file of the lease. Whichever process has it open holds the GPU, so it is passed to the step's
	// supervisor.
	Lease *os.File
}

// GPUUse is how a step used its device.
type GPUUse struct {
	Text string   // a short text, may be empty
	Idle *float64 // share of the time in which the device was idle, 0 to 1; nil if unknown
}

// deviceVar is the environment variable with the UUID of the step's device.
const deviceVar = "CUDA_VISIBLE_DEVICES"

// GPUStep names the step that needs a GPU.
type GPUStep struct {
	Model, Run, Step string
	// ByOllama means that the step computes by asking an Ollama server, which chooses the GPU.
	ByOllama bool
}

// Room lists what a run stops and unloads to free GPU memory for its steps.
type Room struct {
	Stop   []gpu.StopConfig
	RunDir string
	Asked  []AskedModel // models asked by the run's own steps so far
	// UntilEnd means that everything in Stop stays stopped until the end of the run, not only during its GPU part.
	UntilEnd bool
}

// GPUWatch configures the watch over a step's device.
type GPUWatch struct {
	GPUStep
	// Device is the UUID of the device; "" for a step that asks models of Ollama. In that case only the things that the
	// plan stops are watched, not models.
	Device  string
	Freed   []gpu.StopConfig    // what the run stops while its steps use the GPU
	Attempt string              // value of runner.AttemptVar in the environment of the step's processes
	Found   func(text string)   // called with a text to show with the run
	Stop    func(*BlockedError) // called when the step must stop
}

// commandWithGPU runs a step's command, with the GPU held and watched if it needs one.
func (x *Executor) commandWithGPU(ctx context.Context, p Plan, a Action, step Step) (Outcome, error) {
	if !step.GPU && !step.OllamaOnGPU {
		return x.command(ctx, p, a, step, step.Argv)
	}
	// If the command is already running, its supervisor holds the GPU and the command uses the GPU's memory: waiting for a
	// free GPU would mean waiting for the command's end.
	if dir := AttemptDir(p.RunDir, step.Name, a.Attempt); runner.Claimed(dir) {
		return x.commandWatched(ctx, p, a, step, deviceOf(step, dir), nil)
	}
	if x.GPU == nil {
		return Outcome{
			Class: store.StepBlocked, Detail: "the step needs a GPU and none is configured: set gpu: for the model",
		}, nil
	}
	grant, out, err := x.acquire(ctx, p, a, step)
	if errors.Is(err, errClaimed) {
		dir := AttemptDir(p.RunDir, step.Name, a.Attempt)
		return x.commandWatched(ctx, p, a, step, deviceOf(step, dir), nil)
	}
	if err != nil || out.Class != "" {
		return out, err
	}
	step.Env = maps.Clone(step.Env)
	if step.Env == nil {
		step.Env = map[string]string{}
	}
	maps.Copy(step.Env, grant.Env)
	return x.commandWatched(ctx, p, a, step, grant.Env[deviceVar], grant.Lease)
}

// deviceOf returns the device of an attempt; "" if it is unknown or the step does not use the GPU itself.
func deviceOf(step Step, dir string) string {
	if !step.GPU {
		return ""
	}
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

// commandWatched runs a command while its device is watched. It takes ownership of lease, which is nil if the command
// is already running.
func (x *Executor) commandWatched(
	ctx context.Context, p Plan, a Action, step Step, device string, lease *os.File,
) (Outcome, error) {
	h := held{lease: lease}
	if x.GPU == nil || device == "" && !step.OllamaOnGPU {
		return x.commandUntil(ctx, p, a, step, step.Argv, h)
	}
	stop := make(chan *BlockedError, 1)
	h.stop = stop
	end := x.GPU.Watch(ctx, GPUWatch{
		GPUStep: gpuStep(p, step), Device: device, Freed: p.Stop, Attempt: attemptID(p, step.Name, a.Attempt),
		Found: func(text string) { x.remark(ctx, p, a, text) },
		Stop: func(why *BlockedError) {
			select {
			case stop <- why:
			default: // already stopped
			}
		},
	})
	out, err := x.commandUntil(ctx, p, a, step, step.Argv, h)
	use := end(err == nil && out.Class == store.StepOK)
	if out.Facts.GPUIdle = use.Idle; use.Text != "" {
		out.Detail += "; " + use.Text
	}
	return out, err
}

func gpuStep(p Plan, step Step) GPUStep {
	return GPUStep{Model: p.Model, Run: p.Run, Step: step.Name, ByOllama: step.OllamaOnGPU}
}

// remark stores a text that people see with a running step. A failure to store it is only logged.
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
		x.Log.Warn("cannot store a remark about a step", "run_id", p.Run, "step", title(p, a), "detail", text, "err", err)
	}
}

// errClaimed ends a wait for the GPU when the command turns out to be running.
var errClaimed = errors.New("a former process has started the command")

// claimPoll is the interval at which a wait for the GPU checks whether the command is already running.
const claimPoll = 250 * time.Millisecond

// acquire waits for the GPU. If it does not get the GPU, it returns the step's outcome. If a daemon was killed while it
// started the command, the supervisor that it left holds the GPU; acquire then returns errClaimed.
func (x *Executor) acquire(ctx context.Context, p Plan, a Action, step Step) (GPUGrant, Outcome, error) {
	ctx, stop := x.bounded(ctx, p, step)
	defer stop()
	dir := AttemptDir(p.RunDir, step.Name, a.Attempt)
	ctx, claimed := context.WithCancelCause(ctx)
	defer claimed(nil)
	go func() {
		tick := time.NewTicker(claimPoll)
		defer tick.Stop()
		for !runner.Claimed(dir) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		claimed(errClaimed)
	}()
	grant, err := x.haveGPU(ctx, p, a, step)
	if err == nil {
		return grant, Outcome{}, nil
	}
	if runner.Claimed(dir) {
		return GPUGrant{}, Outcome{}, errClaimed
	}
	var blocked *BlockedError
	if errors.As(err, &blocked) {
		return GPUGrant{}, Outcome{Class: store.StepBlocked, Detail: blocked.Reason, Why: blocked.Why}, nil
	}
	out, err := failed(ctx, store.StepFailed, err)
	out, err = ended(step, out, err)
	return GPUGrant{}, out, err
}

// haveGPU acquires the GPU. Before that it frees the GPU once more, because something may have been started in the
// meantime, for example when the daemon started.
func (x *Executor) haveGPU(ctx context.Context, p Plan, a Action, step Step) (GPUGrant, error) {
	if len(p.Stop) > 0 {
		if _, err := x.GPU.Free(ctx, gpuStep(p, step), p.room(a.Step)); err != nil {
			return GPUGrant{}, err
		}
	}
	if err := x.unloadAgain(ctx, p, a.Step); err != nil {
		return GPUGrant{}, err
	}
	return x.GPU.Acquire(ctx, gpuStep(p, step))
}

// free stops the things in Plan.Stop before the steps that need the GPU.
func (x *Executor) free(ctx context.Context, p Plan, a Action) (Outcome, error) {
	step := p.Steps[a.Step]
	if by, err := x.cancelled(ctx, p); err != nil || by != "" {
		return cancelledBy(by), err
	}
	if x.GPU == nil {
		return Outcome{
			Class: store.StepBlocked, Detail: "the step needs a GPU and none is configured: set gpu: for the model",
		}, nil
	}
	if a.Attempt == 1 && p.reusesGPUPart(a.Step) {
		const detail = "nothing to stop: the results of the steps that need the GPU are reused"
		return Outcome{Class: store.StepOK, Detail: detail}, nil
	}
	ctx, stop := x.bounded(ctx, p, step)
	defer stop()
	detail, err := x.GPU.Free(ctx, gpuStep(p, step), p.room(a.Step))
	var blocked *BlockedError
	switch {
	case err == nil:
		return Outcome{Class: store.StepOK, Detail: detail}, nil
	case errors.As(err, &blocked):
		return Outcome{Class: store.StepBlocked, Detail: blocked.Reason, Why: blocked.Why}, nil
	}
	out, err := failed(ctx, store.StepFailed, err)
	return ended(step, out, err)
}

// reusesGPUPart reports whether a retry should reuse the results of all steps that need the GPU, from the given one on.
// If the files of such a step have changed meanwhile, it runs again; haveGPU then stops what Plan.Stop names.
func (p Plan) reusesGPUPart(from int) bool {
	return p.Parent != nil && !slices.ContainsFunc(p.Steps[from:], func(s Step) bool {
		return (s.GPU || s.OllamaOnGPU) && !slices.Contains(p.Parent.Carry, s.Name)
	})
}

// restore starts what was stopped. A cancellation does not interrupt it.
func (x *Executor) restore(ctx context.Context, p Plan, done []Outcome) (Outcome, error) {
	if x.GPU == nil {
		return Outcome{Class: store.StepOK, Detail: "nothing was stopped"}, nil
	}
	s := GPUStep{Model: p.Model, Run: p.Run, Step: string(ActRestore)}
	detail, err := x.GPU.Restore(ctx, s, p.asked(begunSteps(done)), machineOf(p, done).whole())
	if err != nil {
		return failed(ctx, store.StepNotProved, err)
	}
	return Outcome{Class: store.StepOK, Detail: detail}, nil
}
