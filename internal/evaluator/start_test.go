package evaluator

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// submitted records the plans that a loop passes to the engine. It refuses the next one if busy is true.
type submitted struct {
	plans []actions.Plan
	busy  bool
}

func (s *submitted) Submit(p actions.Plan) error {
	if s.busy {
		s.busy = false
		return errors.New("another run is still open")
	}
	s.plans = append(s.plans, p)
	return nil
}

// complete is an intake that has read everything.
type complete struct{}

func (complete) Reading() bool     { return false }
func (complete) CheckTestSet()     {}
func (complete) TakeRenamed() bool { return false }

// decider returns a loop over an empty store.
func decider(t *testing.T) (*Loop, *submitted) {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	config, err := configs.Parse("retraind.yaml", []byte(`version: 1
state: /var/lib/retraind
models:
  m:
    labels: {postgres: {dsn: "host=/nowhere", table: items, id: id, text: [content], label: category}}
    heldout: {share: 30%, salt_file: /salt}
    serving: {classify: "http://localhost:1/classify", health: "http://localhost:1/health"}
    retrain_when: {accuracy_below: 30%}
    pipeline:
      default: [{do: export}, {name: train, exec: [/bin/true], kind: pure}, {do: gate}, {do: release}, {do: verify}]
      other: [{do: export}, {name: train, exec: [/bin/true], kind: pure}, {do: gate}, {do: release}, {do: verify}]
`))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := NewRules(config.File, "m")
	if err != nil {
		t.Fatal(err)
	}
	runs := &submitted{}
	return New("m", rules, Options{Store: s, Runs: runs, Labels: complete{}, Log: slog.New(slog.DiscardHandler)}), runs
}

// No run begins if a person stores a request or a pause, or reloads the configuration, after the decision: the decision
// is made again.
func TestOutdatedDecision(t *testing.T) {
	t.Parallel()
	l, runs := decider(t)
	begin := func(after func()) store.Model {
		t.Helper()
		h, _, err := l.history(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		after()
		d := policy.Decision{At: time.Now(), Verdict: policy.VerdictRetrain, Forced: h.Force != nil}
		_ = l.start(t.Context(), d, h)
		row, err := l.row(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	row := begin(func() {
		if err := l.Demand(t.Context(), Demand{By: "anna", Pipeline: "other", At: time.Now()}, ""); err != nil {
			t.Fatal(err)
		}
	})
	if row.Force == "" || len(runs.plans) != 0 {
		t.Fatalf("after a request: %q, %d runs", row.Force, len(runs.plans))
	}
	begin(func() {
		if err := l.o.Store.Update(t.Context(), "pause", func(tx *store.Tx) error {
			return tx.PutPause(store.Pause{Model: "m", By: "ben", Since: time.Now().UTC()})
		}); err != nil {
			t.Fatal(err)
		}
	})
	if len(runs.plans) != 0 {
		t.Fatal("a run began after a pause")
	}
	begin(func() { l.SetRules(l.rules) })
	if len(runs.plans) != 0 {
		t.Fatal("a run began under the former configuration")
	}
	repeat := func(*store.Tx, store.Model) (actions.Plan, error) { return actions.Plan{Run: "01repeat"}, nil }
	err := l.begin(t.Context(), policy.Decision{At: time.Now()}, nil, repeat)
	if !errors.Is(err, errOutdated) || len(runs.plans) != 0 {
		t.Fatalf("a run on request began under the former configuration: %v", err)
	}
	l.requests.next.Store(nil)
	row = begin(func() {})
	if row.Force != "" || len(runs.plans) != 1 || !runs.plans[0].Forced || runs.plans[0].Pipeline != "other" {
		t.Errorf("the requested run: %q, %d runs", row.Force, len(runs.plans))
	}
}

// A run that is stored begins, even if the engine does not accept it at once: the request for it succeeds, and the run
// is passed to the engine again.
func TestStoredRunIsSubmittedAgain(t *testing.T) {
	t.Parallel()
	l, runs := decider(t)
	runs.busy = true
	fix := func(*store.Tx, store.Model) (actions.Plan, error) {
		return actions.Plan{Run: "01repeat", Model: "m", Created: time.Now()}, nil
	}
	if err := l.begin(t.Context(), policy.Decision{At: time.Now()}, nil, fix); err != nil {
		t.Errorf("the run is stored, but its request failed: %v", err)
	}
	if _, queued, err := l.history(t.Context()); !queued || err != nil || len(runs.plans) != 1 {
		t.Errorf("queued: %t, %d plans, %v", queued, len(runs.plans), err)
	}
}
