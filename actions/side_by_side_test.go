package actions

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// If two runs may be executed at once, a third one waits.
func TestRunsSideBySide(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	w.stop()
	w.atOnce = 2
	w.start()
	var plans []Plan
	for _, model := range []string{"m", "n", "o"} {
		w.runs++
		p := w.plan([]StepConfig{{sh("train", "touch $RETRAIND_MODEL_DIR/$RETRAIND_MODEL; until [ -e $RETRAIND_MODEL_DIR/go ]; do sleep 0.02; done; exit 3")}})
		p.Model = model
		w.update(func(tx *store.Tx) error {
			_, err := tx.AddRun(store.Run{
				ID: p.Run, Model: model, Pipeline: "default", Trigger: p.Trigger, State: store.RunQueued, Plan: mustJSON(p),
				Created: p.Created,
			})
			return err
		})
		w.handOver(p)
		plans = append(plans, p)
	}
	waittest.Eventually(t, "two trainings", func() bool {
		return exists(filepath.Join(w.dir, "m")) && exists(filepath.Join(w.dir, "n"))
	})
	if exists(filepath.Join(w.dir, "o")) {
		t.Error("three trainings at once")
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range plans {
		if r := w.await(p); r.Outcome != string(policy.OutcomeFailed) {
			t.Errorf("%s has %s: %s", p.Model, r.Outcome, r.Reason)
		}
	}
}
