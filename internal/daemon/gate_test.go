package daemon_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/status"
)

// Another gating target is no drift. A reload keeps the former one; after a restart its figures are the new baseline.
func TestGateChanges(t *testing.T) {
	t.Parallel()
	w := alone(t)
	other := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		var text struct{ Content string }
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&text); err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
				return
			}
		}
		_ = json.NewEncoder(rw).Encode(map[string]string{"status": "ok", "topic": knows(text.Content), "tone": "sport"})
	})
	w.service.other.Store(&other)
	w.when = "{accuracy_drop: {points: 1}}"
	gate := func(name string) {
		w.serving = ", targets: {topic: {label: category}, tone: {label: category}}, gate: " + name
	}
	gate("topic")
	w.dsn = "host=/nowhere"
	w.dsn = pgtest.Database(t, tableSQL(), w.migration())
	r := w.start()
	before := r.model("the adoption", known)

	gate("tone")
	w.write(w.config())
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := r.Snapshot(t.Context())
	if err != nil || !slices.Equal(s.Config.RestartNeeded, []string{"models.news.serving.gate"}) {
		t.Errorf("restart needed: %q, %v", s.Config.RestartNeeded, err)
	}
	evaluated := func(r *running) drift.Report {
		t.Helper()
		report, err := r.Evaluate(t.Context(), model)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if got := evaluated(r); got.Target != "topic" || got.Drop != 0 {
		t.Errorf("after the reload: %+v", got)
	}
	r.stop()

	// A baseline that an earlier version stored names no target: it counts as of the present one.
	w.raw("update models set baseline = json_remove(baseline, '$.baseline.target', '$.gate')")
	gate("topic")
	r = w.start()
	if got := evaluated(r); got.Drop != 0 || got.Baseline == nil || got.Baseline.Why != "" {
		t.Errorf("an old baseline: %+v", got)
	}
	r.stop()

	gate("tone")
	r = w.start()
	m := r.model("a new baseline", func(m status.Model) bool { return known(m) && m.Report.Target == "tone" })
	if b := m.Report.Baseline; b == nil || b.Why != "serving.gate changed from topic to tone" || b.Target != "tone" ||
		m.Report.Drop != 0 || m.Report.Accuracy > before.Report.Accuracy-.3 || m.Active != nil || m.Release != before.Release {
		t.Errorf("after the restart: %s, baseline %+v", m.Sentence, b)
	}
	r.stop()
	r = w.start() // not measured again
	if got := evaluated(r); got.Drop != 0 || got.Relabels.RightToWrong+got.NewItems.N != 0 {
		t.Errorf("after another restart: %+v", got)
	}
	if n, body := w.told("model.remeasured"); n != 1 || !strings.Contains(body, "serving.gate") {
		t.Errorf("%d events: %s", n, body)
	}
}
