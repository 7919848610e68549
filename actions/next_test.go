package actions

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

func testPlan() Plan {
	return Plan{Run: "r", Model: "m", Champion: "sha256:old", Steps: []Step{
		{Name: "export", Do: DoExport, Kind: KindPure, Retries: 1},
		{Name: "quiesce", Argv: []string{"x"}, Undo: []string{"y"}, Kind: KindOnce},
		{Name: "train", Argv: []string{"x"}, Kind: KindPure},
		{Name: "gate", Do: DoGate, Kind: KindPure},
		{Name: "release", Do: DoRelease, Kind: KindPure},
		{Name: "restart", Argv: []string{"x"}, Undo: []string{"x"}, Kind: KindOnce},
		{Name: "verify", Do: DoVerify, Kind: KindPure},
	}}
}

// play calls Next until the run ends, with outcomes chosen by class, and returns the actions as words.
func play(t *testing.T, p Plan, class func(Action) store.StepState) (acts []string, result Result) {
	t.Helper()
	var done []Outcome
	for range 200 {
		a, more := Next(p, done)
		if !more {
			return acts, result
		}
		name := ""
		if a.Kind == ActDo || a.Kind == ActUndo {
			name = p.Steps[a.Step].Name
		}
		acts = append(acts, fmt.Sprintf("%s %s %d", a.Kind, name, a.Attempt))
		o := Outcome{Kind: a.Kind, Step: a.Step, Attempt: a.Attempt, Class: class(a), Detail: "because"}
		if a.Kind == ActFinish {
			result, o.Class = a.Result, store.StepOK
		}
		done = append(done, o)
	}
	t.Fatalf("the run does not end: %v", acts)
	return nil, Result{}
}

func TestNextWays(t *testing.T) {
	t.Parallel()
	at := func(step string, class store.StepState) func(Action) store.StepState {
		p := testPlan()
		return func(a Action) store.StepState {
			if a.Kind == ActDo && p.Steps[a.Step].Name == step {
				return class
			}
			return store.StepOK
		}
	}
	for _, c := range []struct {
		name    string
		class   func(Action) store.StepState
		outcome policy.Outcome
		tail    []string // the last actions of the run
	}{
		{"all well", at("", ""), policy.OutcomePromoted, []string{"finish  1"}},
		{"export fails twice", at("export", store.StepFailed), policy.OutcomeFailed, []string{"do export 2", "finish  1"}},
		{"gate rejects", at("gate", store.StepRejected), policy.OutcomeRejected, []string{"undo quiesce 1", "finish  1"}},
		{
			"inconclusive gate", at("gate", store.StepInconclusive), policy.OutcomeRejected,
			[]string{"undo quiesce 1", "finish  1"},
		},
		{
			"lost in a once step", at("quiesce", store.StepUnknown), policy.OutcomeFailed,
			[]string{"undo quiesce 1", "finish  1"},
		},
		{
			"old model served", at("verify", store.StepNotProved), policy.OutcomeRolledBack,
			[]string{"undo release 1", "undo restart 1", "undo quiesce 1", "prove  1", "finish  1"},
		},
		{
			"restart fails", at("restart", store.StepFailed), policy.OutcomeRolledBack,
			[]string{"undo release 1", "undo restart 1", "undo quiesce 1", "prove  1", "finish  1"},
		},
		{
			"cancelled in training", at("train", store.StepCancelled), policy.OutcomeCancelled,
			[]string{"undo quiesce 1", "finish  1"},
		},
		{"blocked", at("train", store.StepBlocked), policy.OutcomeBlocked, []string{"undo quiesce 1", "finish  1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			acts, result := play(t, testPlan(), c.class)
			if result.Outcome != c.outcome {
				t.Errorf("outcome %q, want %q", result.Outcome, c.outcome)
			}
			if tail := acts[len(acts)-len(c.tail):]; !slices.Equal(tail, c.tail) {
				t.Error(cmp.Diff(c.tail, tail))
			}
		})
	}
}

func TestRollbackThatFailsHolds(t *testing.T) {
	t.Parallel()
	_, result := play(t, testPlan(), func(a Action) store.StepState {
		if a.Kind == ActDo && a.Step == 6 || a.Kind == ActProve {
			return store.StepNotProved
		}
		return store.StepOK
	})
	want := Result{Outcome: policy.OutcomeFailed, Reason: "because; and because", Step: "verify", Hold: true}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Error(diff)
	}
}

// The reason names everything that could not be undone.
func TestReasonNamesEachFailedUndo(t *testing.T) {
	t.Parallel()
	_, result := play(t, testPlan(), func(a Action) store.StepState {
		if a.Kind == ActDo && a.Step == 6 || a.Kind == ActUndo && a.Step != 5 {
			return store.StepBlocked
		}
		return store.StepOK
	})
	want := "because; and step release could not be undone: because; and step quiesce could not be undone: because"
	if result.Reason != want || !result.Hold {
		t.Errorf("%+v", result)
	}
}

// TestNextSimulated plays 10^5 runs with random outcomes and checks the invariants of every run. Next sees only the
// journal, so that each call is a resumption from that journal.
func TestNextSimulated(t *testing.T) {
	t.Parallel()
	classes := []store.StepState{
		store.StepFailed, store.StepTimeout, store.StepKilled, store.StepNotStarted,
		store.StepUnknown, store.StepGPUOOM, store.StepDiskFull, store.StepRejected, store.StepInconclusive,
		store.StepNotProved, store.StepBlocked, store.StepCancelled,
	}
	p := testPlan()
	seeds := uint64(100_000)
	if testing.Short() {
		seeds = 5_000 // one goroutine: the race detector has nothing to find
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		serving, finished, gateOK, proofs := "old", 0, false, 0
		_, result := play(t, p, func(a Action) store.StepState {
			class := store.StepOK
			if rng.IntN(4) == 0 {
				class = classes[rng.IntN(len(classes))]
			}
			switch {
			case a.Kind == ActFinish:
				finished++
			case a.Kind == ActProve:
				proofs++
			case a.Kind == ActDo && p.Steps[a.Step].Do == DoGate:
				gateOK = class == store.StepOK
			case a.Kind == ActDo && p.Steps[a.Step].Do == DoRelease:
				if !gateOK {
					t.Fatalf("seed %d: released without the gate", seed)
				}
				serving = "new" // even if it failed: part of it may have happened
			case a.Kind == ActUndo && p.Steps[a.Step].Do == DoRelease && class == store.StepOK:
				serving = "old"
			}
			return class
		})
		switch {
		case finished != 1:
			t.Fatalf("seed %d: finished %d times", seed, finished)
		case result.Outcome == policy.OutcomePromoted && serving != "new":
			t.Fatalf("seed %d: promoted, but %s serves", seed, serving)
		case result.Outcome != policy.OutcomePromoted && serving == "new" && !result.Hold:
			t.Fatalf("seed %d: %s with the new release in service, and no event", seed, result.Outcome)
		case result.Outcome == policy.OutcomeRolledBack && proofs != 1:
			t.Fatalf("seed %d: rolled back without a proof", seed)
		}
	}
}

// A restart after the release is repeated when the release is rolled back, even days later.
func TestRestartIsTakenBack(t *testing.T) {
	t.Parallel()
	restart := &UnitStep{Do: DoUnit, Unit: "api.service", Action: ActionRestart}
	steps := []StepConfig{Do(DoExport), Do(DoGate), Do(DoRelease), {restart}, Do(DoVerify)}
	p := Plan{Run: "r", Champion: "sha256:before", Steps: Resolve(steps, nil, "/opt/retraind")}
	back := PlanRollback(p, "sha256:now", "too many errors")
	if got := strings.Join(back.Titles(), ", "); got != "undo release, undo unit, prove" {
		t.Error(got)
	}
	up := &ComposeStep{Do: DoCompose, Dir: "/srv", Service: "api", Action: ActionUp}
	p.Steps = Resolve([]StepConfig{Do(DoGate), Do(DoRelease), {up}, Do(DoVerify)}, nil, "/opt/retraind")
	back = PlanRollback(p, "sha256:now", "too many errors")
	if got := strings.Join(back.Titles(), ", "); got != "undo release, prove" {
		t.Error(got)
	}
}
