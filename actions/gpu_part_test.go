package actions

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// gpuPlan returns a plan whose GPU part consists of the steps train, merge and tune, with other steps before and after.
func gpuPlan() Plan {
	p := testPlan()
	p.Stop = []gpu.StopConfig{{Unit: "tagger.service"}}
	p.Steps = slices.Insert(p.Steps, 3,
		Step{Name: "merge", Argv: []string{"x"}, Kind: KindPure},
		Step{Name: "tune", Argv: []string{"x"}, Kind: KindPure, GPU: true, Retries: 1})
	p.Steps[2].GPU = true
	return p
}

// teacherPlan returns a plan whose GPU part begins with a large labelling model and ends with the candidate's answers.
func teacherPlan() Plan {
	p := testPlan()
	p.Stop = []gpu.StopConfig{{Ollama: []string{"all"}, Server: "http://127.0.0.1:11434"}}
	p.Steps[2].GPU = true
	p.Steps = slices.Insert(p.Steps, 3,
		Step{Name: "merge", Argv: []string{"x"}, Kind: KindPure},
		Step{Name: "stage", Do: DoStage, Kind: KindPure, OllamaOnGPU: true, Retries: 1},
		Step{Name: "predict", Do: DoPredict, Kind: KindPure, OllamaOnGPU: true})
	p.Steps = slices.Insert(p.Steps, 1, Step{Name: "label", Do: DoLabel, Kind: KindPure, OllamaOnGPU: true, Retries: 1})
	return p
}

// What was stopped stays stopped from the label step to the candidate's answers, and runs again before the gate.
func TestNextCoversOllama(t *testing.T) {
	t.Parallel()
	acts, result := play(t, teacherPlan(), func(Action) store.StepState { return store.StepOK })
	want := []string{
		"do export 1", "free  1", "do label 1", "do quiesce 1", "do train 1", "do merge 1", "do stage 1", "do predict 1",
		"restore  1", "do gate 1", "do release 1", "do restart 1", "do verify 1", "finish  1",
	}
	if diff := cmp.Diff(want, acts); diff != "" || result.Outcome != policy.OutcomePromoted {
		t.Error(diff, result)
	}
	old := teacherPlan() // as written by an earlier version
	for i := range old.Steps {
		old.Steps[i].OllamaOnGPU = false
	}
	acts, _ = play(t, old, func(Action) store.StepState { return store.StepOK })
	want = []string{
		"do export 1", "do label 1", "do quiesce 1", "free  1", "do train 1", "restore  1", "do merge 1", "do stage 1",
		"do predict 1", "do gate 1", "do release 1", "do restart 1", "do verify 1", "finish  1",
	}
	if diff := cmp.Diff(want, acts); diff != "" {
		t.Error("an old plan: ", diff)
	}
}

func TestNextFreesTheGPU(t *testing.T) {
	t.Parallel()
	at := func(name string, class store.StepState, attempts int) func(Action) store.StepState {
		p := gpuPlan()
		return func(a Action) store.StepState {
			is := string(a.Kind)
			if a.Kind == ActDo {
				is = p.Steps[a.Step].Name
			}
			if is == name && a.Attempt <= attempts {
				return class
			}
			return store.StepOK
		}
	}
	begin := []string{"do export 1", "do quiesce 1", "free  1"}
	for _, c := range []struct {
		name    string
		class   func(Action) store.StepState
		outcome policy.Outcome
		acts    []string
	}{
		{"all well", at("", "", 0), policy.OutcomePromoted, []string{
			"do train 1", "do merge 1", "do tune 1", "restore  1", "do gate 1", "do release 1", "do restart 1", "do verify 1",
			"finish  1",
		}},
		{"blocked before it", at("free", store.StepBlocked, 9), policy.OutcomeBlocked, []string{
			"restore  1", "undo quiesce 1", "finish  1",
		}},
		{"fails inside it", at("merge", store.StepFailed, 9), policy.OutcomeFailed, []string{
			"do train 1", "do merge 1", "restore  1", "undo quiesce 1", "finish  1",
		}},
		{"cancelled inside it", at("tune", store.StepCancelled, 9), policy.OutcomeCancelled, []string{
			"do train 1", "do merge 1", "do tune 1", "restore  1", "undo quiesce 1", "finish  1",
		}},
		{"fails after it", at("verify", store.StepNotProved, 9), policy.OutcomeRolledBack, []string{
			"do train 1", "do merge 1", "do tune 1", "restore  1", "do gate 1", "do release 1", "do restart 1", "do verify 1",
			"undo release 1", "undo restart 1", "undo quiesce 1", "prove  1", "finish  1",
		}},
		{"out of memory", at("train", store.StepGPUOOM, 1), policy.OutcomePromoted, []string{
			"do train 1", "free  2", "do train 2", "do merge 1", "do tune 1", "restore  1", "do gate 1", "do release 1",
			"do restart 1", "do verify 1", "finish  1",
		}},
		{"fails once", at("tune", store.StepFailed, 1), policy.OutcomePromoted, []string{
			"do train 1", "do merge 1", "do tune 1", "do tune 2", "restore  1", "do gate 1", "do release 1", "do restart 1",
			"do verify 1", "finish  1",
		}},
		{"comes back late", at("restore", store.StepNotProved, 2), policy.OutcomePromoted, []string{
			"do train 1", "do merge 1", "do tune 1", "restore  1", "restore  2", "restore  3", "do gate 1", "do release 1",
			"do restart 1", "do verify 1", "finish  1",
		}},
		{"does not come back", at("restore", store.StepNotProved, 9), policy.OutcomePromoted, []string{
			"do train 1", "do merge 1", "do tune 1", "restore  1", "restore  2", "restore  3", "do gate 1", "do release 1",
			"do restart 1", "do verify 1", "finish  1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			acts, result := play(t, gpuPlan(), c.class)
			if result.Outcome != c.outcome {
				t.Errorf("outcome %q, want %q", result.Outcome, c.outcome)
			}
			if diff := cmp.Diff(append(slices.Clone(begin), c.acts...), acts); diff != "" {
				t.Error(diff)
			}
			if owed := c.name == "does not come back"; owed != (result.Owed != "") ||
				owed != strings.HasSuffix(result.Reason, "; because") {
				t.Errorf("result %+v", result)
			}
		})
	}
}

// TestGPUPartSimulated plays 10^5 histories: no step uses the GPU while something runs that should be stopped. At the
// end everything runs again, or the run reports what does not.
func TestGPUPartSimulated(t *testing.T) {
	t.Parallel()
	classes := []store.StepState{
		store.StepFailed, store.StepTimeout, store.StepKilled, store.StepNotStarted, store.StepUnknown, store.StepGPUOOM,
		store.StepDiskFull, store.StepRejected, store.StepNotProved, store.StepBlocked, store.StepCancelled,
	}
	plans := []Plan{gpuPlan(), teacherPlan()}
	seeds := uint64(100_000)
	if testing.Short() {
		seeds = 5_000
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 2))
		p := plans[seed%2]
		stopped, restores, stoppedSince := false, 0, 0
		_, result := play(t, p, func(a Action) store.StepState {
			class := store.StepOK
			if rng.IntN(5) == 0 {
				class = classes[rng.IntN(len(classes))]
			}
			switch a.Kind {
			case ActFree:
				stopped = true // even if it failed: something may have been stopped
				stoppedSince++
			case ActRestore:
				if restores++; class == store.StepOK {
					stopped = false
				}
			case ActDo:
				if step := p.Steps[a.Step]; (step.GPU || step.OllamaOnGPU) && !stopped {
					t.Fatalf("seed %d: %s has the GPU beside what should be stopped", seed, step.Name)
				} else if stopped && (step.Do == DoGate || step.Do == DoRelease || step.Do == DoVerify) && restores < restoreAttempts {
					t.Fatalf("seed %d: %s while something is stopped", seed, step.Name)
				}
			case ActUndo, ActProve:
				if stopped && restores < restoreAttempts {
					t.Fatalf("seed %d: %s while something is stopped", seed, a.Kind)
				}
			}
			return class
		})
		if stopped != (result.Owed != "") {
			t.Fatalf("seed %d: still stopped at the end: %v, the run reports %q", seed, stopped, result.Owed)
		}
		if stoppedSince == 0 && restores > 0 {
			t.Fatalf("seed %d: restored what was never stopped", seed)
		}
	}
}

// Plans of earlier versions do not free the GPU, and continue as they began.
func TestOldPlansFreeNothing(t *testing.T) {
	t.Parallel()
	p := gpuPlan()
	p.Stop = nil
	acts, _ := play(t, p, func(Action) store.StepState { return store.StepOK })
	for _, a := range acts {
		if strings.HasPrefix(a, "free") || strings.HasPrefix(a, "restore") {
			t.Errorf("actions %v", acts)
		}
	}
}

func TestRunFreesTheGPU(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.gpuStop = []gpu.StopConfig{{Unit: "tagger.service"}}
	train := sh("train", "exec "+w.self+" fake-train 7")
	train.GPU = true
	frees := 0
	fake := fakeGPU{
		acquire: func(context.Context) (GPUGrant, error) {
			return GPUGrant{Env: map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-1"}}, nil
		},
		free: func(context.Context, GPUStep) error { frees++; return nil },
	}
	w.executor.GPU = fake
	w.ends(w.run(pipeline(train)), policy.OutcomePromoted, "first release",
		"export ok", "free ok", "train ok", "restore ok", "gate ok", "release ok", "verify ok")
	if frees != 2 { // before the first step of the GPU part, and again directly before the command starts
		t.Errorf("freed %d times", frees)
	}

	fake.free = func(context.Context, GPUStep) error {
		return &BlockedError{Reason: "Ollama model big: a client keeps asking it", Why: policy.ReasonGPUHeld}
	}
	w.executor.GPU = fake
	w.ends(w.run(pipeline(train)), policy.OutcomeBlocked, "Ollama model big: a client keeps asking it",
		"export ok", "free blocked", "restore ok")

	waiting := make(chan struct{}, 1)
	fake.free = func(ctx context.Context, _ GPUStep) error {
		waiting <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w.executor.GPU = fake
	p := w.submit(pipeline(train))
	<-waiting
	w.cancel(p)
	w.ends(w.await(p), policy.OutcomeCancelled, "cancelled by anna", "export ok", "free cancelled", "restore ok")

	fake.free = nil
	fake.restore = func() error {
		return errors.New("not restored yet, will be retried: unit tagger.service: it is failed")
	}
	w.executor.GPU = fake
	w.ends(w.run(pipeline(w.gpu(train, 9))), policy.OutcomePromoted, "not restored yet, will be retried: unit tagger.service",
		"export ok", "free ok", "train ok", "restore not_proved", "restore not_proved", "restore not_proved", "gate ok",
		"release ok", "verify ok")
}

// A retry that reuses the training stops nothing for it. If the files have changed, the training runs again, and what
// must be stopped is stopped.
func TestRetryWithoutTheGPU(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.gpuStop = []gpu.StopConfig{{Unit: "tagger.service"}}
	train := sh("train", "exec "+w.self+" fake-train 0")
	train.GPU = true
	frees := 0
	w.executor.GPU = fakeGPU{
		acquire: func(context.Context) (GPUGrant, error) {
			return GPUGrant{Env: map[string]string{"CUDA_VISIBLE_DEVICES": "GPU-1"}}, nil
		},
		free: func(context.Context, GPUStep) error { frees++; return nil },
	}
	ends := []string{"export ok", "free ok", "train ok", "restore ok", "gate rejected"}
	parent := w.submit(pipeline(train))
	w.ends(w.await(parent), policy.OutcomeRejected, "", ends...)
	frees = 0
	p, r := w.retry(parent, pipeline(train), "gate")
	if w.ends(r, policy.OutcomeRejected, "", ends...); frees != 0 || len(p.Parent.Carry) != 2 {
		t.Errorf("freed %d times, carried %v", frees, p.Parent.Carry)
	}
	writeText(t, filepath.Join(parent.releaseDir(), "model.json"), "{}")
	_, r = w.retry(parent, pipeline(train), "gate")
	if w.ends(r, policy.OutcomeRejected, "", ends...); frees != 1 {
		t.Errorf("with changed files: freed %d times", frees)
	}
}

func (w *world) gpu(like *CommandStep, tenths int) *CommandStep {
	c := *like
	c.Exec = w.train(tenths).Exec
	c.Shell = false
	return &c
}
