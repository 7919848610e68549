package actions

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

func unloadStep(name, url, model string) StepConfig {
	return ollamaStep(name, url, model, OllamaUnload)
}

func loadStep(name, url, model string) StepConfig { return ollamaStep(name, url, model, OllamaLoad) }

func ollamaStep(name, url, model string, action OllamaAction) StepConfig {
	s := &OllamaStep{Do: DoOllama, Action: action, Model: model, url: url}
	s.Name = name
	return StepConfig{s}
}

// A model that a step has unloaded is loaded by a later step, or else at the end of the run, whatever the outcome.
func TestNextLoadsAgain(t *testing.T) {
	t.Parallel()
	train := StepConfig{sh("train", "true")}
	build := func(more ...StepConfig) Plan {
		steps := append([]StepConfig{Do(DoExport), unloadStep("unload", "", "big"), train}, more...)
		return Plan{Run: "r", Steps: Resolve(append(steps, Do(DoGate), Do(DoRelease), Do(DoVerify)), nil, "/opt/retraind")}
	}
	never := build()
	again := build(loadStep("load", "", "big:latest"))
	all := build(loadStep("load", "", gpu.AllModels))
	other := build(loadStep("load", "", "small"))
	well := func(Action) store.StepState { return store.StepOK }
	failing := func(p Plan, step string) func(Action) store.StepState {
		return func(a Action) store.StepState {
			if a.Kind == ActDo && p.Steps[a.Step].Name == step {
				return store.StepFailed
			}
			return store.StepOK
		}
	}
	start := []string{"do export 1", "do unload 1", "do train 1"}
	deployed := []string{"do gate 1", "do release 1", "do verify 1"}
	for _, c := range []struct {
		name  string
		plan  Plan
		class func(Action) store.StepState
		want  []string
	}{
		{"at the end", never, well, slices.Concat(start, deployed, []string{"restore  1", "finish  1"})},
		{"by a step", again, well, slices.Concat(start, []string{"do load 1"}, deployed, []string{"finish  1"})},
		{"by a step that loads all", all, well, slices.Concat(start, []string{"do load 1"}, deployed, []string{"finish  1"})},
		{"not by a step that loads another one", other, well, slices.Concat(
			start, []string{"do load 1"}, deployed, []string{"restore  1", "finish  1"},
		)},
		{"after a failure", again, failing(again, "train"), slices.Concat(start, []string{"restore  1", "finish  1"})},
		{"after half an unload", again, failing(again, "unload"), slices.Concat(start[:2], []string{"restore  1", "finish  1"})},
		{"a load that fails", again, failing(again, "load"), slices.Concat(
			start, []string{"do load 1", "restore  1", "undo load 1", "finish  1"},
		)},
		{"before it", again, failing(again, "export"), []string{"do export 1", "finish  1"}},
	} {
		acts, _ := play(t, c.plan, c.class)
		if diff := cmp.Diff(c.want, acts); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	promoted := PlanRollback(again, "sha256:now", "too many errors")
	if titles := promoted.Titles(); slices.Contains(titles, "undo load") || slices.Contains(titles, "restore") {
		t.Errorf("a rollback days later does %v", titles)
	}
}

// Random histories of a run with a GPU part and unload steps around it: at the end everything is restored, or the run
// reports what is not.
func TestLoadingAgainSimulated(t *testing.T) {
	t.Parallel()
	p := gpuPlan()
	act := func(name, model string, load bool) Step {
		return Step{Name: name, Do: DoOllama, Kind: KindPure, Act: &Act{Ollama: &OllamaAct{Model: model, Load: load}}}
	}
	p.Steps = slices.Insert(p.Steps, 6, act("load b", "b", true))
	p.Steps = slices.Insert(p.Steps, 1, act("unload a", "a", false), act("unload b", "b", false))
	classes := []store.StepState{store.StepFailed, store.StepTimeout, store.StepBlocked, store.StepCancelled, store.StepGPUOOM}
	for seed := range uint64(20_000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		away := map[string]bool{}
		part := false
		var done []Outcome
		var result Result
		for {
			a, more := Next(p, done)
			if !more {
				break
			}
			class := store.StepOK
			if rng.IntN(7) == 0 {
				class = classes[rng.IntN(len(classes))]
			}
			whole := machineOf(p, done).whole()
			switch {
			case a.Kind == ActFree:
				part = true
			case a.Kind == ActDo && p.Steps[a.Step].unloads():
				away[p.Steps[a.Step].Act.Ollama.Model] = true
			case a.Kind == ActDo && p.Steps[a.Step].Act != nil && class == store.StepOK:
				delete(away, p.Steps[a.Step].Act.Ollama.Model)
			case a.Kind == ActRestore && class == store.StepOK:
				part = false
				if whole {
					clear(away)
				}
			case a.Kind == ActFinish:
				result, class = a.Result, store.StepOK
			}
			done = append(done, Outcome{Kind: a.Kind, Step: a.Step, Attempt: a.Attempt, Class: class, Detail: "owed"})
		}
		if owed := part || len(away) > 0; owed && result.Owed == "" {
			t.Fatalf("seed %d: away %v, part %v, and nothing is said: %+v", seed, away, part, result)
		}
	}
}

// fakeModels records the calls. A run calls it from one goroutine at a time.
type fakeModels struct {
	asked  []string
	unload func(ctx context.Context) (string, error)
	back   string // result of Reload
}

func (f *fakeModels) Unload(ctx context.Context, s GPUStep, r Room) (string, error) {
	f.asked = append(f.asked, s.Step+" "+r.Stop[0].String())
	if f.unload != nil {
		return f.unload(ctx)
	}
	return "unloaded " + r.Stop[0].String(), nil
}

func (f *fakeModels) Reload(_ context.Context, _ GPUStep, m gpu.StopConfig) (string, error) {
	f.asked = append(f.asked, "reload "+m.String())
	return f.back, nil
}

func TestRunUnloads(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	steps := func() []StepConfig {
		return slices.Insert(pipeline(w.gpu(sh("train", ""), 9)), 1, unloadStep("unload", "http://127.0.0.1:1", "big"))
	}
	w.ends(w.run(steps()), policy.OutcomeFailed, "models cannot be loaded and unloaded here", "export ok", "unload failed",
		"restore ok")

	fake := &fakeModels{}
	w.executor.Models = fake
	gpuSteps := steps()
	gpuSteps[2].Command().GPU = true
	restores := 0
	w.executor.GPU = fakeGPU{
		acquire: func(context.Context) (GPUGrant, error) { return GPUGrant{}, nil },
		restore: func() error { restores++; return nil },
	}
	w.ends(w.run(gpuSteps), policy.OutcomePromoted, "first release",
		"export ok", "unload ok", "train ok", "gate ok", "release ok", "verify ok", "restore ok")
	// Unloaded by its own step, and again before the training starts, since a client may have loaded it.
	twice := []string{"unload Ollama model big", "unload Ollama model big"}
	if diff := cmp.Diff(twice, fake.asked); diff != "" || restores != 1 {
		t.Error(diff, restores)
	}

	fake.unload = func(context.Context) (string, error) {
		return "", &BlockedError{Reason: "Ollama model big: a client keeps asking it", Why: policy.ReasonGPUHeld}
	}
	w.ends(w.run(steps()), policy.OutcomeBlocked, "a client keeps asking it", "export ok", "unload blocked", "restore ok")
	fake.unload = func(context.Context) (string, error) { return "", errors.New("ollama ps: refused") }
	w.ends(w.run(steps()), policy.OutcomeFailed, "unload: ollama ps: refused", "export ok", "unload failed", "restore ok")
	waiting := make(chan struct{}, 1)
	fake.unload = func(ctx context.Context) (string, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	p := w.submit(steps())
	<-waiting
	w.cancel(p)
	w.ends(w.await(p), policy.OutcomeCancelled, "cancelled by anna", "export ok", "unload cancelled", "restore ok")
}

// A client that keeps the model loaded makes the undo of a load fail; it does not stop the execution of the run.
func TestUndoOfALoadHasATimeout(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	fake := ollamatest.NewFake(t)
	w := newWorld(t)
	w.executor.Models = &fakeModels{}
	ollamatest.Classifier{Else: []string{"news"}}.Install(t, fake.URL, "big", "")
	if err := ollamatest.Client(t, fake.URL).Load(t.Context(), "big", time.Hour); err != nil {
		t.Fatal(err)
	}
	fake.Break(func(r *http.Request) (int, string) {
		if r.URL.Path == "/api/generate" { // unloads nothing
			return http.StatusOK, `{"done":true}`
		}
		return 0, ""
	})
	p := w.idle()
	step := Resolve([]StepConfig{loadStep("load", fake.URL, "big")}, nil, w.self)[0]
	step.Timeout = 100 * time.Millisecond
	if err := writeBefore(p.before(step), wasOff); err != nil {
		t.Fatal(err)
	}
	out, err := w.executor.ollama(t.Context(), p, Action{Kind: ActUndo, Attempt: 1}, step)
	if err != nil || out.Class != store.StepFailed || !strings.Contains(out.Detail, "the server does not unload big") {
		t.Errorf("%+v, %v", out, err)
	}
}

// A step that loads a model uses the server's default keep-alive. If the run fails, the model is unloaded again unless
// it was loaded before.
func TestRunLoads(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	ollamatest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t)
		w.executor.Models = &fakeModels{}
		client, name := ollamatest.Client(t, url), ollamatest.Name(t)
		ollamatest.Classifier{Else: []string{"news"}, Version: name}.Install(t, url, name, "")
		loaded := func() *ollama.Running {
			t.Helper()
			r, err := loadedAs(t.Context(), client, name)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		fails := []StepConfig{
			Do(DoExport), loadStep("load", url, name), {sh("fail", "exit 1")}, Do(DoGate), Do(DoRelease), Do(DoVerify),
		}
		ends := []string{"export ok", "load ok", "fail failed", "undo load ok"}
		w.ends(w.run(fails), policy.OutcomeFailed, "", ends...)
		if loaded() != nil {
			t.Error("it is still loaded")
		}
		if err := client.Load(t.Context(), name, time.Hour); err != nil {
			t.Fatal(err)
		}
		w.ends(w.run(fails), policy.OutcomeFailed, "", ends...)
		if loaded() == nil {
			t.Error("it was loaded before, and is not any more")
		}
		unknown := slices.Clone(fails)
		unknown[1] = loadStep("load", url, "no-such-model")
		w.ends(w.run(unknown), policy.OutcomeFailed, "the Ollama server has no such model", "export ok", "load failed", "undo load ok")
	})
}
