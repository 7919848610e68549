package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func TestModelFieldsAreIndependent(t *testing.T) {
	t.Parallel()
	s := open(t)
	if m := view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }); m != (store.Model{Name: "m"}) {
		t.Errorf("before the first write: %+v", m)
	}
	want := store.Model{Name: "m", Champion: "c", Previous: "p", Applied: 7, Monitor: "mo", Baseline: "b", Info: "i", Intent: "in", Force: "f", Hold: "h"}
	for field, value := range map[store.ModelField]any{
		store.Champion: "c", store.Previous: "p", store.Applied: 7, store.Monitor: "mo", store.Baseline: "b",
		store.Info: "i", store.Intent: "in", store.Force: "f", store.Hold: "h",
	} {
		update(t, s, func(tx *store.Tx) error { return tx.SetModel("m", field, value) })
	}
	update(t, s, func(tx *store.Tx) error { return tx.SetModel("other", store.Champion, "x") })
	if diff := cmp.Diff(want, view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") })); diff != "" {
		t.Error(diff)
	}
}

func TestPredictions(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := store.Prediction{Item: "a", TextHash: "h1", Answers: map[string]string{"l": "x"}}
	changed, newer := p, p
	newer.TextHash = "h2"
	changed.Answers = map[string]string{"l": "y"}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.PutPrediction("m", "r1", p), tx.PutPrediction("m", "r1", newer), tx.PutPrediction("m", "r2", p), tx.PutPrediction("m", "r1", changed))
	})
	read := func(release string) []store.Prediction {
		return view(t, s, func(tx *store.Tx) (out []store.Prediction, err error) {
			err = tx.Predictions("m", release, func(p store.Prediction) { out = append(out, p) })
			return out, err
		})
	}
	if diff := cmp.Diff([]store.Prediction{changed, newer}, read("r1")); diff != "" {
		t.Error(diff)
	}
	update(t, s, func(tx *store.Tx) error { return tx.DropPredictions("m", "r1") })
	if len(read("r1")) != 0 || len(read("r2")) != 1 {
		t.Error("dropping one release's answers took others, or none")
	}
}
