package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// A training process survives a soft stop, a hard stop, and the loss of the engine's database: the next daemon waits
// for the same process.
func TestTrainingOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct{ hard, lost bool }{
		"soft": {}, "hard": {hard: true},
		"engine lost": {lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			release := w.hold()
			r := w.start()
			pid := w.training(1)
			if how.hard {
				r.hard()
			}
			r.soft(nil)
			<-r.done
			if r.err != nil {
				t.Fatal(r.err)
			}
			if err := syscall.Kill(pid, 0); err != nil {
				t.Fatalf("the training ended with the daemon: %v", err)
			}
			if how.lost {
				files, err := filepath.Glob(filepath.Join(w.state, "engine.db*"))
				if err != nil || len(files) == 0 {
					t.Fatal(files, err)
				}
				for _, file := range files {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
			}
			r = w.start()
			r.model("the run to be shown again", func(m status.Model) bool {
				return m.Phase == status.Running && strings.Contains(m.Sentence, "in step train")
			})
			release()
			run := r.first()
			if attempts, pids := w.trainings(); len(pids) != 1 || pids[0] != pid {
				t.Errorf("trainings %v with pids %v, want one with %d", attempts, pids, pid)
			}
			r.stop()
			w.nothingOf(run.ID)
		})
	}
}

// A thousand requests during a run start one more run.
func TestForceHammered(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	release := w.hold()
	r := w.start()
	r.force <- struct{}{}
	w.training(1)
	for range 1000 {
		r.force <- struct{}{}
	}
	release()
	runs := r.ended(2)
	for _, run := range runs {
		if !run.Forced {
			t.Errorf("run %s was not forced: %s", run.ID, run.Trigger)
		}
	}
	// A complete evaluation starts no third run.
	if _, err := r.Evaluate(t.Context(), model); err != nil {
		t.Fatal(err)
	}
	r.ended(2)
	w.read(func(tx *store.Tx) error {
		row, err := tx.Model(model)
		if row.Force != "" {
			t.Errorf("a request is still stored: %s", row.Force)
		}
		return err
	})
}

// A cancelled run ends its command with all its children, undoes its steps, and does not change which release serves.
func TestCancel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.start()
	r.first()
	r.stop()
	current, err := os.Readlink(filepath.Join(w.state, "models", model, "current"))
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(w.dir, "prepare.log")
	w.steps = w.usual(fmt.Sprintf("{name: prepare, shell: true, exec: [%q], undo: [%q]}, ", "echo done >>"+log,
		"echo undone >>"+log))
	w.hold()
	r = w.start()
	r.force <- struct{}{}
	pid := w.training(2)
	m := r.model("the run", func(m status.Model) bool { return m.Active != nil })
	if err := r.Cancel(t.Context(), m.Active.ID, ""); err != nil {
		t.Fatal(err)
	}
	run := r.ended(2)[0]
	if run.Outcome != policy.OutcomeCancelled || !strings.Contains(run.Reason, "cancelled by") {
		t.Errorf("%s: %s", run.Outcome, run.Reason)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); !strings.Contains(string(b), ") Z ") {
			t.Errorf("the training (pid %d) still runs", pid)
		}
	}
	w.nothingOf(run.ID)
	b, err := os.ReadFile(log)
	if diff := cmp.Diff("done\nundone\n", string(b)); diff != "" || err != nil {
		t.Errorf("the step before (-want +got), %v:\n%s", err, diff)
	}
	if now, err := os.Readlink(filepath.Join(w.state, "models", model, "current")); err != nil || now != current {
		t.Errorf("current is %s, was %s, %v", now, current, err)
	}
	if err := r.Cancel(context.Background(), run.ID, ""); err == nil ||
		!strings.Contains(err.Error(), "has ended already") {
		t.Errorf("cancelled again: %v", err)
	}
}

// A held model refuses a forced retrain, and drops an earlier request: resuming does not start it.
func TestForceWhileHeld(t *testing.T) {
	t.Parallel()
	r := setup(t).start()
	r.first()
	if err := r.Hold(t.Context(), model, status.Pause{Reason: "the annotators meet"}); err != nil {
		t.Fatal(err)
	}
	r.force <- struct{}{}
	waittest.EventuallyHolds(t, "the signal to be taken", func() (bool, error) { return len(r.force) == 0, nil })
	for range 2 { // the second is read after the first has been handled
		r.audit <- struct{}{}
	}
	forced := func() (force string) {
		r.w.read(func(t *store.Tx) error {
			row, err := t.Model(model)
			force = row.Force
			return err
		})
		return force
	}
	if f := forced(); f != "" {
		t.Errorf("the held model has stored the request: %s", f)
	}
	if err := r.Resume(t.Context(), model, ""); err != nil {
		t.Fatal(err)
	}
	if f := forced(); f != "" {
		t.Errorf("the resumed model is forced: %s", f)
	}
}
