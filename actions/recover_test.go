package actions

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// killSupervisor kills a command's supervisor, as a crash of the machine would.
func killSupervisor(t *testing.T, dir string) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(readText(t, filepath.Join(dir, "claimed")), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	champion := w.champion()

	// A command that must not run twice: the run is rolled back.
	restart := sh("restart", "touch $RETRAIND_MODEL_DIR/restarting; sleep 1000")
	restart.Undo = []string{"touch $RETRAIND_MODEL_DIR/undone"}
	p := w.submit(pipeline(w.train(10), restart))
	waittest.Eventually(t, "the restart", func() bool { return exists(filepath.Join(w.dir, "restarting")) })
	killSupervisor(t, AttemptDir(p.RunDir, "restart", 1))
	w.ends(w.await(p), policy.OutcomeRolledBack, "restart: the supervisor of the command ended without recording the result",
		"export ok", "train ok", "gate ok", "release ok", "restart unknown", "undo release ok", "undo restart ok", "prove ok")
	w.serves(champion)
	if !exists(filepath.Join(w.dir, "undone")) {
		t.Error("the command was not undone")
	}

	// A command that may be repeated: it runs again, in another attempt directory.
	train := sh("train", "if mkdir $RETRAIND_MODEL_DIR/once; then sleep 1000; fi; exec "+w.self+" fake-train 10")
	train.Kind = KindPure
	p = w.submit(pipeline(train))
	waittest.Eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "once")) })
	killSupervisor(t, AttemptDir(p.RunDir, "train", 1))
	w.ends(w.await(p), policy.OutcomePromoted, "not worse", "export ok", "train unknown", "train ok", "gate ok",
		"release ok", "verify ok")
}

func (w *world) cancel(p Plan) {
	w.t.Helper()
	w.update(func(tx *store.Tx) error { return tx.CancelRun(p.Run, "anna") })
}

func TestCancelDuringACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	train := sh("train", "echo $$ >$RETRAIND_MODEL_DIR/pid; sleep 1000")
	train.Undo = []string{"kill -0 $(cat $RETRAIND_MODEL_DIR/pid) 2>/dev/null && echo alive >$RETRAIND_MODEL_DIR/undo || echo gone >$RETRAIND_MODEL_DIR/undo"}
	p := w.submit(pipeline(train))
	pid := filepath.Join(w.dir, "pid")
	waittest.Eventually(t, "the training", func() bool { return exists(pid) })
	w.cancel(p)
	r := w.await(p)
	w.ends(r, policy.OutcomeCancelled, "cancelled by anna", "export ok", "train cancelled", "undo train ok")
	if got := readText(t, filepath.Join(w.dir, "undo")); got != "gone\n" {
		t.Errorf("at the undo the command was %s", got)
	}
	if events := w.events(r.ID); events[len(events)-1] != "run.finished" {
		t.Errorf("events %v", events)
	}
}

// A run is cancelled while no daemon runs: its running command is killed before anything is undone.
func TestCancelWhileTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	train := sh("train", "echo $$ >$RETRAIND_MODEL_DIR/pid; sleep 1000")
	train.Undo = []string{"kill -0 $(cat $RETRAIND_MODEL_DIR/pid) 2>/dev/null && echo alive >$RETRAIND_MODEL_DIR/undo || echo gone >$RETRAIND_MODEL_DIR/undo"}
	p := w.submit(pipeline(train))
	waittest.Eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "pid")) })
	w.stop()
	w.cancel(p)
	w.start()
	w.ends(w.await(p), policy.OutcomeCancelled, "cancelled by anna", "export ok", "train cancelled", "undo train ok")
	if got := readText(t, filepath.Join(w.dir, "undo")); got != "gone\n" {
		t.Errorf("at the undo the command was %s", got)
	}
}

func TestCancelBeforeItsTurn(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	first := w.submit(pipeline(sh("train",
		"while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+" fake-train 7")))
	w.cancel(first)
	w.ends(w.await(first), policy.OutcomeCancelled, "cancelled by anna", w.steps(first.Run)...)
	w.serves("")
}

// A deployment that is cancelled during its verification is rolled back.
func TestCancelDuringTheProof(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	champion := w.champion()
	w.promote.Smoke = []Smoke{{Text: map[string]string{"title": titled(0)}, Expect: "never"}} // the verification would retry for ten seconds
	p := w.submit(pipeline(w.train(10)))
	waittest.Eventually(t, "the proof", func() bool { return slices.Contains(w.steps(p.Run), "verify running") })
	w.cancel(p)
	w.ends(w.await(p), policy.OutcomeCancelled, "cancelled by anna", "export ok", "train ok", "gate ok", "release ok",
		"verify cancelled", "undo release ok", "prove ok")
	w.serves(champion)
}

// A daemon that restarts during a command re-attaches to it; the command runs once.
func TestRestartInTheMiddleOfACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.submit(pipeline(sh("train",
		"echo $$ >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+
			" fake-train 7")))
	starts := filepath.Join(w.dir, "starts")
	waittest.Eventually(t, "the training", func() bool { return exists(starts) })
	for range 2 {
		w.stop()
		if r := w.look(p); r.State != store.RunRunning || r.Outcome != "" {
			t.Fatalf("after a stop the run is %s, %s", r.State, r.Outcome)
		}
		w.start()
	}
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.ends(w.await(p), policy.OutcomePromoted, "first release", goodSteps...)
	if got := strings.Count(readText(t, starts), "\n"); got != 1 {
		t.Errorf("the training was started %d times", got)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.deployed", "run.finished"}
	if diff := cmp.Diff(want, w.events(p.Run)); diff != "" {
		t.Error(diff)
	}
}

// A command that ended while no daemon ran is not run again.
func TestCommandEndsWhileTheDaemonIsAway(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	p := w.submit(pipeline(sh("train",
		"echo $$ >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+w.self+
			" fake-train 7")))
	waittest.Eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "starts")) })
	w.stop()
	writeText(t, filepath.Join(w.dir, "go"), "")
	waittest.Eventually(t, "its record", func() bool {
		_, ok, err := runner.ReadExit(AttemptDir(p.RunDir, "train", 1))
		return ok && err == nil
	})
	w.start()
	w.ends(w.await(p), policy.OutcomePromoted, "first release", goodSteps...)
}

// Submitting a run again, as the loop does after a restart, does not start it twice. While a run of the model is open,
// another run is refused and must be submitted again.
func TestSubmitTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := sh("train",
		"echo x >>$RETRAIND_MODEL_DIR/starts; while [ ! -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exec "+
			w.self+" fake-train 7")
	p := w.submit(pipeline(hold))
	for range 3 {
		if err := w.engine.Submit(p); err != nil {
			t.Fatal(err)
		}
	}
	w.runs++
	next := w.plan(pipeline(w.train(10)))
	w.add(next)
	waittest.Eventually(t, "the training", func() bool { return exists(filepath.Join(w.dir, "starts")) })
	if err := w.engine.Submit(next); err == nil || !strings.Contains(err.Error(), "another run of model m is still open") {
		t.Errorf("two runs of one model at once: %v", err)
	}
	writeText(t, filepath.Join(w.dir, "go"), "")
	w.ends(w.await(p), policy.OutcomePromoted, "first release", goodSteps...)
	if err := w.engine.Submit(p); err != nil {
		t.Fatal(err)
	}
	next.Champion = w.model().Champion
	w.handOver(next)
	w.ends(w.await(next), policy.OutcomePromoted, "not worse", goodSteps...)
	if got := strings.Count(readText(t, filepath.Join(w.dir, "starts")), "\n"); got != 1 {
		t.Errorf("the first was started %d times", got)
	}
}

// After a crash between an action's record in the store and the engine's record, the action is performed again, but
// reported once.
func TestActionsMayBeEnteredTwice(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.runs++
	p := w.plan(pipeline(w.train(7)))
	w.update(func(tx *store.Tx) error {
		_, err := tx.AddRun(store.Run{ID: p.Run, Model: "m", State: store.RunQueued, Plan: "{}", Created: p.Created})
		return err
	})
	var done []Outcome
	for {
		a, more := Next(p, done)
		if !more {
			break
		}
		var outs [2]Outcome
		for i := range outs {
			out, err := w.executor.Execute(t.Context(), p, a, done)
			if err != nil {
				t.Fatal(err)
			}
			outs[i] = out
		}
		if outs[0].Class != outs[1].Class || outs[0].Detail != outs[1].Detail {
			t.Errorf("%s: first %+v, then %+v", title(p, a), outs[0], outs[1])
		}
		done = append(done, outs[1])
	}
	if r := w.look(p); r.Outcome != string(policy.OutcomePromoted) {
		t.Errorf("%s: %s", r.Outcome, r.Reason)
	}
	want := []string{"run.step", "run.step", "run.step", "run.step", "run.step", "model.deployed", "run.finished"}
	if diff := cmp.Diff(want, w.events(p.Run)); diff != "" {
		t.Error(diff)
	}
	w.serves(w.model().Champion)
}
