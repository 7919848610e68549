package actions

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

func backPlan() Plan {
	p := PlanRollback(testPlan(), "sha256:new", "it failed")
	p.Run = "back"
	return p
}

func TestNextBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		bad  func(Action) bool
		acts []string
		want Result
	}{
		{
			"all well", func(Action) bool { return false },
			[]string{"undo release 1", "undo restart 1", "prove  1", "finish  1"},
			Result{Outcome: policy.OutcomeRolledBack, Reason: "it failed", Why: policy.ReasonProbationFailed},
		},
		{
			"it cannot be proved", func(a Action) bool { return a.Kind == ActProve },
			[]string{"undo release 1", "undo restart 1", "prove  1", "finish  1"},
			Result{
				Outcome: policy.OutcomeFailed, Reason: "it failed; and because", Why: policy.ReasonProbationFailed,
				Hold: true,
			},
		},
		{
			"the release cannot be turned back", func(a Action) bool { return a.Kind == ActUndo && a.Step == 4 },
			[]string{
				"undo release 1", "undo release 2", "undo release 3", "undo release 4", "undo release 5", "undo release 6",
				"undo restart 1", "prove  1", "finish  1",
			},
			Result{
				Outcome: policy.OutcomeFailed, Reason: "it failed; and step release could not be undone: because",
				Why: policy.ReasonProbationFailed, Hold: true,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			acts, result := play(t, backPlan(), func(a Action) store.StepState {
				if c.bad(a) {
					return store.StepNotProved
				}
				return store.StepOK
			})
			if diff := cmp.Diff(c.acts, acts); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.want, result); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"undo release", "undo restart", "prove"}, backPlan().Titles()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"export", "quiesce", "train", "gate", "release", "restart", "verify"},
		testPlan().Titles()); diff != "" {
		t.Error(diff)
	}
}

// Whatever the outcomes of its actions, a rollback finishes once. If it is not certain that the former release is in
// service, the result says so.
func TestNextBackSimulated(t *testing.T) {
	t.Parallel()
	classes := []store.StepState{
		store.StepFailed, store.StepTimeout, store.StepKilled, store.StepNotStarted,
		store.StepUnknown, store.StepDiskFull, store.StepNotProved, store.StepBlocked,
	}
	p := backPlan()
	for seed := range uint64(5_000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		pointed, proved, finished := false, false, 0
		_, result := play(t, p, func(a Action) store.StepState {
			class := store.StepOK
			if rng.IntN(3) == 0 {
				class = classes[rng.IntN(len(classes))]
			}
			switch {
			case a.Kind == ActFinish:
				finished++
			case a.Kind == ActProve:
				proved = class == store.StepOK
			case a.Kind == ActUndo && p.Steps[a.Step].Do == DoRelease:
				pointed = pointed || class == store.StepOK
			case a.Kind == ActDo:
				t.Fatalf("seed %d: it does %s", seed, p.Steps[a.Step].Name)
			}
			return class
		})
		if finished != 1 || result.Outcome == policy.OutcomeRolledBack && (!pointed || !proved) ||
			result.Outcome != policy.OutcomeRolledBack && !result.Hold {
			t.Fatalf("seed %d: finished %d times, pointed %t, proved %t: %+v", seed, finished, pointed, proved, result)
		}
	}
}

// two promotes a first and a second release; commands around the gate record when they are undone.
func (w *world) two() (promoted Plan, first, second string) {
	w.t.Helper()
	first = w.champion()
	noted := func(name string) *CommandStep {
		s := sh(name, "true")
		s.Undo = []string{"echo " + name + " $RETRAIND_CHAMPION >>$RETRAIND_MODEL_DIR/undone"}
		return s
	}
	steps := pipeline(w.train(10), noted("restart"))
	steps = append([]StepConfig{{noted("relabel")}}, steps...)
	w.runs++
	promoted = w.plan(steps)
	promoted.Probation = &policy.Probation{For: unit.Duration(time.Hour), FalseRollbacks: .05}
	w.add(promoted)
	w.handOver(promoted)
	if r := w.await(promoted); r.Outcome != string(policy.OutcomePromoted) {
		w.t.Fatalf("the second run has %s: %s", r.Outcome, r.Reason)
	}
	return promoted, first, w.model().Champion
}

func (w *world) back(promoted Plan, release string) Plan {
	w.t.Helper()
	w.runs++
	p := PlanRollback(promoted, release, "new items are answered worse")
	fresh := w.plan(nil)
	p.Run, p.Created, p.RunDir, p.Serving = fresh.Run, fresh.Created, fresh.RunDir, fresh.Serving
	w.add(p)
	w.handOver(p)
	return p
}

func (w *world) row() Champion {
	w.t.Helper()
	c, err := ReadChampion(w.model().Baseline)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	promoted, first, second := w.two()
	was := w.row()
	if p := was.Probation; p == nil || p.Until.Sub(p.Since) != time.Hour || p.Alpha != .05 || was.Former == nil {
		t.Fatalf("%+v", was)
	}
	p := w.back(promoted, second)
	w.ends(w.await(p), policy.OutcomeRolledBack, "new items are answered worse", "undo release ok", "undo restart ok",
		"prove ok")
	w.serves(first)
	if m := w.model(); m.Champion != first || m.Previous != "" || m.Monitor != "" || m.Hold != "" {
		t.Errorf("%+v", m)
	}
	if diff := cmp.Diff(*was.Former, w.row()); diff != "" {
		t.Error(diff)
	}
	if a, b := w.release(first).State, w.release(second).State; a != store.ReleaseChampion ||
		b != store.ReleaseRolledBack {
		t.Errorf("the releases are %s and %s", a, b)
	}
	if got := readText(t, filepath.Join(w.dir, "undone")); got != "restart "+first+"\n" {
		t.Errorf("undone: %q", got)
	}
	events := w.events(p.Run)
	if n := len(events); n < 2 || !slices.Equal(events[n-2:], []string{"model.rolled_back", "run.finished"}) {
		t.Errorf("events %v", events)
	}
	sum, err := ReadSummary(w.look(p).Result)
	if err != nil || sum.Undoes != promoted.Run || sum.Release != second || sum.Serving != first ||
		sum.Result.Why != policy.ReasonProbationFailed {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A rollback resumes after a restart of the daemon.
func TestBackAfterARestart(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	promoted, first, second := w.two()
	i := slices.IndexFunc(promoted.Steps, func(s Step) bool { return s.Name == "restart" })
	promoted.Steps[i].Undo = []string{
		"/bin/sh", "-c",
		"echo once >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done",
	}
	p := w.back(promoted, second)
	waittest.Eventually(t, "the undo", func() bool { return exists(filepath.Join(w.dir, "starts")) })
	w.stop()
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.start()
	w.ends(w.await(p), policy.OutcomeRolledBack, "", "undo release ok", "undo restart ok", "prove ok")
	w.serves(first)
	if got := readText(t, filepath.Join(w.dir, "starts")); got != "once\n" {
		t.Errorf("the undo ran %d times", strings.Count(got, "once"))
	}
}

// If the former release is damaged, the deployed release stays, and the model is held until a person has checked.
func TestBackToADamagedRelease(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	promoted, first, second := w.two()
	if err := os.Truncate(filepath.Join(w.release(first).Path, "model.json"), 3); err != nil {
		t.Fatal(err)
	}
	w.promote.VerifyWithin = unit.Duration(200 * time.Millisecond)
	promoted.Promote.VerifyWithin = w.promote.VerifyWithin
	was := w.row()
	p := w.back(promoted, second)
	w.ends(w.await(p), policy.OutcomeFailed, "the former release is damaged", "undo release blocked", "undo restart ok",
		"prove not_proved")
	w.serves(second)
	m := w.model()
	if diff := cmp.Diff(was, w.row()); diff != "" || m.Champion != second || m.Previous != first || m.Hold == "" {
		t.Errorf("%+v %s", m, diff)
	}
	if events := w.events(p.Run); slices.Contains(events, "model.rolled_back") {
		t.Errorf("events %v", events)
	}
}

// The former release, the target of a rollback, stays on disk whatever is trained meanwhile.
func TestFormerReleaseStays(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	_, first, _ := w.two()
	for range keepReleases + 2 {
		if r := w.run(pipeline(w.train(3))); r.Outcome != string(policy.OutcomeRejected) {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
	}
	if _, err := ReadRelease(w.release(first).Path); err != nil {
		t.Error(err)
	}
	w.view(func(tx *store.Tx) error {
		answers, err := cached(tx, "m", first)
		if len(answers) == 0 {
			t.Error("its answers are gone: nothing could prove that it serves again")
		}
		return err
	})
}

// A rollback that the service does not follow is described in its own words: the release that still serves is the one
// that was rolled back.
func TestRollbackThatIsNotServed(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	promoted, first, second := w.two()
	w.served.setStuck(true)
	promoted.Promote.VerifyWithin = unit.Duration(time.Millisecond)
	p := w.back(promoted, second)
	r := w.await(p)
	if r.Outcome != string(policy.OutcomeFailed) || strings.Contains(r.Reason, "former release's") ||
		!strings.Contains(r.Reason, "the service has not loaded "+text.Digest(first)) ||
		!strings.Contains(r.Reason, "to all of these the service gives the rolled-back release's answer") {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
}

// The reason names only what was done: held-out items that were trained on are left out, which is no comparison on the
// items since the adoption.
func TestReasonWithAnAdoptedChampion(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.champion()
	row := w.model()
	champion, err := ReadChampion(row.Baseline)
	if err != nil {
		t.Fatal(err)
	}
	champion.Adopted = &Adopted{TrainedOn: "train.jsonl"}
	w.update(func(tx *store.Tx) error { return tx.SetModel("m", store.Baseline, mustJSON(champion)) })
	w.source.list[0].Side = drift.SideTrain // held out in the store
	r := w.run(pipeline(w.train(9)))
	if r.Outcome != string(policy.OutcomePromoted) || strings.Contains(r.Reason, "adopted") {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
}
