package actions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
)

// fakeGPU is a GPU with a function field for each method.
type fakeGPU struct {
	acquire func(ctx context.Context) (GPUGrant, error)
	watch   func(w GPUWatch) func(bool) GPUUse
	free    func(ctx context.Context, s GPUStep) error
	restore func() error
}

// Watch reports nothing unless the test has set watch.
func (g fakeGPU) Watch(_ context.Context, w GPUWatch) func(bool) GPUUse {
	if g.watch == nil {
		return func(bool) GPUUse { return GPUUse{} }
	}
	return g.watch(w)
}

func (g fakeGPU) Free(ctx context.Context, s GPUStep, _ Room) (string, error) {
	if g.free == nil {
		return "nothing", nil
	}
	return "stopped backend", g.free(ctx, s)
}

func (g fakeGPU) Restore(context.Context, GPUStep, []AskedModel, bool) (string, error) {
	if g.restore == nil {
		return "nothing", nil
	}
	return "backend runs again", g.restore()
}

func (g fakeGPU) Acquire(ctx context.Context, _ GPUStep) (GPUGrant, error) {
	return g.acquire(ctx)
}

func TestGPU(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	train := sh("train", "echo $CUDA_VISIBLE_DEVICES >$RETRAIND_MODEL_DIR/devices; exec "+w.self+" fake-train 7")
	train.GPU = true
	w.ends(w.run(pipeline(train)), policy.OutcomeBlocked,
		"the step needs a GPU and none is configured: set gpu: for the model", "export ok", "train blocked")

	w.executor.GPU = fakeGPU{acquire: func(context.Context) (GPUGrant, error) {
		return GPUGrant{}, &BlockedError{Reason: "GPU-1 is held by ollama (pid 7)"}
	}}
	r := w.run(pipeline(train))
	w.ends(r, policy.OutcomeBlocked, "GPU-1 is held by ollama (pid 7)", "export ok", "train blocked")
	if exists(filepath.Join(w.dir, "devices")) {
		t.Error("the command ran all the same")
	}

	w.executor.GPU = fakeGPU{acquire: func(context.Context) (GPUGrant, error) {
		return GPUGrant{}, errors.New("driver is broken")
	}}
	w.ends(w.run(pipeline(train)), policy.OutcomeFailed, "driver is broken", "export ok", "train failed")

	waiting := make(chan struct{}, 1)
	w.executor.GPU = fakeGPU{acquire: func(ctx context.Context) (GPUGrant, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return GPUGrant{}, context.Cause(ctx)
	}}
	p := w.submit(pipeline(train))
	<-waiting
	w.cancel(p)
	w.ends(w.await(p), policy.OutcomeCancelled, "cancelled by anna", "export ok", "train cancelled")

	short := *train
	short.Timeout = unit.Duration(50 * time.Millisecond)
	p = w.submit(pipeline(&short))
	<-waiting
	w.ends(w.await(p), policy.OutcomeFailed, "not finished within its timeout of 50ms", "export ok", "train timeout")

	leases := gpu.Leases{Dir: t.TempDir()}
	w.executor.GPU = fakeGPU{acquire: func(context.Context) (GPUGrant, error) {
		lease, err := leases.TryAcquire("GPU-1", "a test")
		if err != nil {
			return GPUGrant{}, err
		}
		return GPUGrant{Env: map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-1"}, Lease: lease.File()}, nil
	}}
	w.ends(w.run(pipeline(train)), policy.OutcomePromoted, "first release", goodSteps...)
	if got := readText(t, filepath.Join(w.dir, "devices")); got != "GPU-1\n" {
		t.Errorf("devices %q", got)
	}
	lease, err := leases.TryAcquire("GPU-1", "after the run")
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(); err != nil {
		t.Error(err)
	}
}

// Findings are shown with the run during the step and at its end, and stop the step if configured.
func TestGPUIsWatched(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	train := sh("train", "exec sleep 300")
	train.GPU = true
	granted := func(context.Context) (GPUGrant, error) {
		return GPUGrant{Env: map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-1"}}, nil
	}
	var watched GPUWatch
	var succeeded []bool
	end := func(ok bool) GPUUse {
		succeeded = append(succeeded, ok)
		return GPUUse{Text: "at most 18.0 GiB of GPU memory"}
	}
	w.executor.GPU = fakeGPU{acquire: granted, watch: func(g GPUWatch) func(bool) GPUUse {
		watched = g
		g.Found("GPU 0 is also used by ollama")
		for range 3 {
			g.Stop(&BlockedError{Reason: "GPU 0 is also used by ollama; the step was stopped", Why: policy.ReasonGPUHeld})
		}
		return end
	}}
	r := w.run(pipeline(train))
	w.ends(
		r,
		policy.OutcomeBlocked,
		"GPU 0 is also used by ollama; the step was stopped; at most 18.0 GiB of GPU memory",
		"export ok",
		"train blocked",
	)
	if watched.Device != "GPU-1" || watched.Attempt != r.ID+"/train/a1" || watched.Step != "train" || watched.Run != r.ID {
		t.Errorf("watched %+v", watched)
	}

	train = sh("train", "exec "+w.self+" fake-train 7")
	train.GPU = true
	w.executor.GPU = fakeGPU{acquire: granted, watch: func(GPUWatch) func(bool) GPUUse { return end }}
	w.ends(w.run(pipeline(train)), policy.OutcomePromoted, "first release", goodSteps...)
	if !slices.Equal(succeeded, []bool{false, true}) {
		t.Errorf("ends: %v", succeeded)
	}
}

// A daemon was killed after it had started a supervisor, but before the supervisor had claimed its attempt. The next
// daemon waits for a GPU that the run's own training holds: it must re-attach to the training instead of ending the run
// as blocked.
func TestGPUOfACommandUnderWay(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	train := sh("train", "exec "+w.self+" fake-train 7")
	train.GPU = true
	w.runs++
	p := w.plan(pipeline(train))
	w.executor.GPU = fakeGPU{acquire: func(ctx context.Context) (GPUGrant, error) {
		spec, err := w.executor.spec(p, Action{Step: 1, Attempt: 1}, p.Steps[1], p.Steps[1].Argv)
		if err == nil {
			_, err = w.executor.Runner.Run(ctx, spec) // left by the former process
		}
		if ctx.Err() == nil && err == nil {
			<-ctx.Done()
		}
		return GPUGrant{}, &BlockedError{Reason: "GPU-1 is leased by run " + p.Run}
	}}
	w.add(p)
	w.handOver(p)
	w.ends(w.await(p), policy.OutcomePromoted, "first release", goodSteps...)
}

func TestEnvironmentOfAStep(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	probe := sh("probe", "env; pwd; exit 1")
	probe.Env = map[string]string{"LANG": "de_DE", "EXTRA": "a b"}
	r := w.run([]StepConfig{{probe}})
	dir := AttemptDir(filepath.Join(w.dir, "runs", r.ID), "probe", 1)
	out := readText(t, runner.LogFile(dir))
	for _, want := range []string{
		"RETRAIND_RUN=" + r.ID, "RETRAIND_STEP=probe", "RETRAIND_MODEL=m", "RETRAIND_PIPELINE=default",
		"RETRAIND_TARGET=label", "RETRAIND_CHAMPION=",
		"RETRAIND_DATA_DIR=" + filepath.Join(w.dir, "runs", r.ID, "data"),
		"RETRAIND_RELEASE_DIR=" + filepath.Join(w.dir, "releases", r.ID), "RETRAIND_MODEL_DIR=" + w.dir,
		"RETRAIND_CURRENT=" + CurrentLink(w.dir), "RETRAIND_IDEMPOTENCY_KEY=" + r.ID + "/probe",
		"RETRAIND_ORIGIN=retraind:" + r.ID, "RETRAIND_PROGRESS=" + runner.ProgressFile(dir),
		"LANG=de_DE", "EXTRA=a b", filepath.Join(dir, "work"),
	} {
		if !slices.Contains(strings.Split(out, "\n"), want) {
			t.Errorf("%q is not in the environment:\n%s", want, out)
		}
	}
}

// A restarted daemon finds a step's device in the spec of the attempt.
func TestDeviceOfAnAttempt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"env": ["PATH=/bin", "CUDA_VISIBLE_DEVICES=GPU-1"]}`: "GPU-1",
		`{"env": ["PATH=/bin"]}`:                               "",
		`{`:                                                    "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "spec.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := deviceOf(Step{GPU: true}, dir); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if got := deviceOf(Step{GPU: true}, t.TempDir()); got != "" {
		t.Errorf("without a spec: got %q", got)
	}
}
