package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/status"
)

// fromFiles returns a world whose labels come from a directory with one file of all items.
func fromFiles(t *testing.T) *world {
	t.Helper()
	w := alone(t)
	dir := filepath.Join(w.dir, "labels")
	w.labels = fmt.Sprintf("{files: {dir: %q}}", dir)
	var b strings.Builder
	for n := range items {
		b.WriteString(statement(n, []string{"sport", "geld"}[n%2], true))
	}
	if err := errors.Join(os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "first.jsonl"), []byte(b.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	return w
}

// A request with an id is carried out only once, even after a restart. A request that was made too long ago, or in the
// future, is refused.
func TestRequestsCountOnce(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	r := w.start()
	r.first()
	ctx := context.Background()
	ask := status.Request{ID: "order 7", Reason: "because", At: time.Now()}
	first, err := r.Trigger(ctx, model, ask)
	if err != nil || first.Run == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	r.ended(2)
	if again, err := r.Trigger(ctx, model, ask); err != nil || again != first {
		t.Errorf("the same again: %+v, %v; first %+v", again, err, first)
	}
	r.stop()
	r = w.start()
	if again, err := r.Trigger(ctx, model, ask); err != nil || again != first {
		t.Errorf("after a restart: %+v, %v; first %+v", again, err, first)
	}
	r.ended(2)
	for _, at := range []time.Duration{-time.Hour, time.Hour} {
		if _, err := r.Trigger(ctx, model, status.Request{At: time.Now().Add(at)}); !errors.Is(err, status.ErrRefused) {
			t.Errorf("a request made %s from now: %v", at, err)
		}
	}
	r.ended(2)
}

// Labels that are added by request count like any others. Invalid ones are rejected, and labels of unknown items wait.
func TestLabelsThatAreHandedOver(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	r := w.start()
	r.first()
	added, err := r.AddLabels(context.Background(), model,
		[]byte(`{"id": "1", "label": "sport"}`+"\n"+`{"id": "x"}`+"\n"+`{"id": "later", "label": "geld"}`+"\n"), "", "")
	if err != nil || added.Taken != 2 || added.Waiting != 1 || len(added.Rejected) != 1 || added.Rejected[0].Index != 1 {
		t.Fatalf("%+v, %v", added, err)
	}
	r.model("the correction to be counted",
		func(m status.Model) bool { return m.Report != nil && m.Report.Labels.Changed == 1 })
	if _, err := r.AddLabels(context.Background(), "nobody", nil, "", ""); !errors.Is(err, status.ErrNotFound) {
		t.Errorf("of no model: %v", err)
	}
}
