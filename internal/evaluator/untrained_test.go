package evaluator

import (
	"testing"
	"time"

	"github.com/retraind/retraind/store"
)

// A run that failed at its export has trained nothing; one that entered another step may have.
func TestUntrained(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	now := time.Now()
	const plan = `{"steps": [{"name": "write", "do": "export"}, {"name": "train"}]}`
	for name, c := range map[string]struct {
		steps []store.Step
		want  bool
	}{
		"nothing known": {nil, false},
		"export": {[]store.Step{
			{Ord: 1, Name: "write", Attempt: 1, Kind: "do", State: store.StepFailed},
			{Ord: 2, Name: "finish", Attempt: 1, Kind: "finish", State: store.StepOK},
		}, true},
		"train": {[]store.Step{
			{Ord: 1, Name: "write", Attempt: 1, Kind: "do", State: store.StepOK},
			{Ord: 2, Name: "train", Attempt: 1, Kind: "do", State: store.StepFailed},
		}, false},
	} {
		run := store.Run{ID: name, Model: "m", State: store.RunQueued, Plan: plan, Created: now}
		err := s.Update(t.Context(), "test", func(tx *store.Tx) error {
			if _, err := tx.AddRun(run); err != nil {
				return err
			}
			for _, step := range c.steps {
				step.Run, step.Started = name, now
				if err := tx.PutStep(step); err != nil {
					return err
				}
			}
			got, err := untrained(tx, run)
			if got != c.want {
				t.Errorf("%s: %v", name, got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
