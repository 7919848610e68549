package evaluator

import (
	"errors"
	"testing"
	"time"

	"github.com/retraind/retraind/store"
)

// A hold by a person prevents a redeployment, as any other run. A hold by a run does not: the redeployment can prove
// which release serves, which ends the hold.
func TestRedeployWhileHeld(t *testing.T) {
	t.Parallel()
	for by, want := range map[string]int{"anna (uid 1000, pid 7)": 0, "run 01first": 1} {
		l, runs := decider(t)
		l.o.Beat = func() {}
		now := time.Now().UTC()
		if err := l.o.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
			_, err := tx.AddRun(store.Run{ID: "01first", Model: "m", State: store.RunQueued, Plan: "{}", Created: now})
			if err == nil {
				_, err = tx.EndRun("01first", "promoted", "", "{}", now)
			}
			return errors.Join(err,
				tx.PutRelease(store.Release{Digest: "sha256:c", Model: "m", Run: "01first", Labels: "{}", Metrics: "{}", Created: now}),
				tx.SetModel("m", store.Champion, "sha256:c"), tx.SetModel("m", store.Baseline, "{}"),
				WriteHold(tx, "m", Hold{By: by, Reason: "because", At: now}))
		}); err != nil {
			t.Fatal(err)
		}
		_, err := l.redeploy(t.Context(), "ben")
		var held *HeldError
		if errors.As(err, &held) != (want == 0) || len(runs.plans) != want {
			t.Errorf("held by %s: %d runs, %v", by, len(runs.plans), err)
		}
		if want == 0 {
			continue
		}
		if err := l.o.Store.View(t.Context(), func(tx *store.Tx) error {
			d, err := lastDecision(tx, "m")
			if err == nil && d.Model != "m" { // retraind explain RUN begins with it
				t.Errorf("the decision is about model %q", d.Model)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}
