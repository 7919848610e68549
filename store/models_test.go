package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/store"
)

func TestModelFieldsAreIndependent(t *testing.T) {
	t.Parallel()
	s := open(t)
	if m := view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }); m != (store.Model{Name: "m"}) {
		t.Errorf("before the first write: %+v", m)
	}
	want := store.Model{
		Name: "m", Champion: "c", Previous: "p", Applied: 7, Monitor: "mo", Baseline: "b", Info: "i",
		Intent: "in", Force: "f", Hold: "h",
	}
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
		return errors.Join(tx.PutPrediction("m", "r1", p), tx.PutPrediction("m", "r1", newer), tx.PutPrediction("m", "r2", p),
			tx.PutPrediction("m", "r1", changed))
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
	one := view(t, s, func(tx *store.Tx) (store.Prediction, error) { return tx.Prediction("m", "r1", "a", "h2") })
	if diff := cmp.Diff(newer, one); diff != "" {
		t.Error(diff)
	}
	none := view(t, s, func(tx *store.Tx) (bool, error) {
		_, err := tx.Prediction("m", "r2", "a", "h2")
		return errors.Is(err, store.ErrNotFound), nil
	})
	if !none {
		t.Error("an answer of another release is found")
	}
	update(t, s, func(tx *store.Tx) error { return tx.DropPredictions("m", "r1") })
	if len(read("r1")) != 0 || len(read("r2")) != 1 {
		t.Error("dropping one release's answers took others, or none")
	}
}

// A model's pause and the pause of all models exist independently. A second pause of a model replaces its first one.
func TestPauses(t *testing.T) {
	t.Parallel()
	s := open(t)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	own := store.Pause{Model: "m", By: "ann", Reason: "a week", Since: at, Until: at.Add(time.Hour)}
	every := store.Pause{Model: store.Everything, By: "bob", Since: at}
	for _, p := range []store.Pause{{Model: "m", By: "old", Since: at}, own, every, {Model: "other", By: "x", Since: at}} {
		update(t, s, func(tx *store.Tx) error { return tx.PutPause(p) })
	}
	pauses := func() []store.Pause {
		return view(t, s, func(tx *store.Tx) ([]store.Pause, error) { return tx.Pauses("m") })
	}
	if diff := cmp.Diff([]store.Pause{every, own}, pauses()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	update(t, s, func(tx *store.Tx) error { return tx.DropPause("m") })
	if diff := cmp.Diff([]store.Pause{every}, pauses()); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
}
