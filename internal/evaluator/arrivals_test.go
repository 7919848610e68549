package evaluator

import (
	"fmt"
	"testing"
	"time"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Every change is reported once, even if a person's request passes it to the monitor before an evaluation does.
func TestEveryChangeIsReported(t *testing.T) {
	t.Parallel()
	l, _ := decider(t)
	l.o.Beat = func() {}
	l.scorer = serving.NewScorer(l.rules.Model.Serving)
	t.Cleanup(l.scorer.Close)
	n := int64(0)
	arrive := func(count int) {
		t.Helper()
		if err := l.o.Store.Update(t.Context(), "test", func(tx *store.Tx) error {
			var changes []store.Change
			for range count {
				n++
				changes = append(changes, store.Change{N: n, Source: "postgres", Key: fmt.Sprint(n), Op: "put", Item: fmt.Sprint(n)})
			}
			return tx.AddChanges("m", changes, time.Now())
		}); err != nil {
			t.Fatal(err)
		}
	}
	evaluate := func() {
		t.Helper()
		if _, err := l.evaluate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	arrive(2)
	evaluate()
	arrive(3)
	if r := l.carryOut(t.Context(), &order{do: orderRedeploy}); r.err == nil {
		t.Fatal("there is no champion to redeploy")
	}
	evaluate()
	evaluate()
	var changes []int
	if err := l.o.Store.View(t.Context(), func(tx *store.Tx) error {
		all, err := tx.Notifications(0, 1000)
		for _, e := range all {
			if e, err := notify.Decode(e.Body); err == nil && e.Kind == notify.LabelsReceived {
				data, err := notify.Unpack[notify.Labels](e)
				if err != nil {
					return err
				}
				changes = append(changes, data.Changes)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(changes) != "[2 3]" {
		t.Errorf("the events report %v changes", changes)
	}
}
