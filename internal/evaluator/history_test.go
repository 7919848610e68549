package evaluator

import (
	"fmt"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// The policy gets every run of the budget's period, however many there are, and a few older ones.
func TestHistoryCoversTheBudget(t *testing.T) {
	t.Parallel()
	const recent, old = 150, 200
	l, _ := decider(t)
	l.rules.Model.Policy.Limits.Budget = unit.Rate{Count: 120, Per: unit.Duration(24 * time.Hour)}
	now := time.Now().UTC()
	if err := l.o.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
		for n := range recent + old {
			at := now.Add(-time.Duration(n) * time.Minute)
			if n >= recent {
				at = at.AddDate(0, 0, -2)
			}
			id := fmt.Sprintf("%03d", n)
			if _, err := tx.AddRun(store.Run{ID: id, Model: "m", State: store.RunQueued, Plan: "{}", Created: at}); err != nil {
				return err
			}
			if _, err := tx.EndRun(id, string(policy.OutcomePromoted), "", "{}", at); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h, _, err := l.history(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Runs) < recent || len(h.Runs) == recent+old {
		t.Errorf("%d runs", len(h.Runs))
	}
	l.rules.Model.Policy.Limits.Budget = unit.Rate{}
	if h, _, err = l.history(t.Context()); err != nil || len(h.Runs) != historyRuns {
		t.Errorf("without a budget: %d runs, %v", len(h.Runs), err)
	}
}
