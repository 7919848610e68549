package evaluator

import (
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
)

// What is stored about a release is of the target that gated then. An earlier version stored no target.
func TestChampionOfAnotherGate(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Update(t.Context(), "test", func(tx *store.Tx) error {
		release := store.Release{Digest: "c", Model: "m", Run: "r", Labels: `{"a": 5}`, Metrics: "{}", Created: time.Now()}
		if err := tx.PutRelease(release); err != nil {
			return err
		}
		for _, c := range []struct {
			gate, target     string // stored
			mix, measurement bool   // used when topic gates
		}{
			{"", "", true, true},
			{"topic", "topic", true, true},
			{"tone", "tone", false, false},
			{"tone", "topic", false, true}, // measured again after a change of the gate
			{"topic", "tone", true, false}, // and changed back
		} {
			stored := actions.Champion{
				Gate: c.gate, Baseline: drift.Baseline{Target: c.target}, Probation: &drift.Probation{},
			}
			got, err := champion(tx, store.Model{Name: "m", Champion: "c", Baseline: mustJSON(stored)}, "topic")
			if err != nil {
				return err
			}
			if (got.TrainLabels != nil) != c.mix || (got.Baseline != nil) != c.measurement ||
				(got.Probation != nil) != c.measurement || ofOtherGate(got) == c.measurement {
				t.Errorf("%+v: %+v", c, got)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
