package daemon_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// heldOut returns a statement that inserts a held-out text, which must then be sent to the service.
func heldOut(t *testing.T, n int) string {
	t.Helper()
	members := drift.NewMembership([]byte(salt), 0.3)
	for i := n * 1000; i < n*1000+1000; i++ {
		content := text("sport", i)
		if members.Heldout(drift.GroupKey(map[string]string{"content": content}, nil)) {
			return fmt.Sprintf("insert into items values ('held-%d', '%s', 'sport')", n, content)
		}
	}
	t.Fatal("no text is held out")
	return ""
}

// Every fault of the classifier is reported as such, never as a drop in accuracy, and starts no run.
func TestClassifierFaults(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.when = "{accuracy_below: 99%, accuracy_drop: {points: 1}}" // the smallest drop would arm a retrain
	r := w.start()
	r.first()
	for n, c := range []struct {
		name   string
		fault  *http.HandlerFunc // nil: unreachable
		state  drift.State
		phase  status.Phase
		reason policy.Reason
		detail string
	}{
		{"500", answer(500, "CUDA error"), drift.StateError, status.Broken, policy.ReasonEvaluationFailed, "500"},
		{
			"not JSON", answer(200, "<html>It works!</html>"), drift.StateError, status.Broken, policy.ReasonEvaluationFailed,
			"JSON",
		},
		{
			"absent field", answer(200, `{"prediction": "sport"}`), drift.StateError, status.Broken,
			policy.ReasonEvaluationFailed, "prediction",
		},
		{"away", nil, drift.StateError, status.Broken, policy.ReasonEvaluationFailed, "nothing listens"},
		{"away and allowed to", nil, drift.StateAsleep, status.Asleep, policy.ReasonServiceAsleep, "nothing listens"},
	} {
		if c.state == drift.StateAsleep {
			w.serving = ", asleep: ok"
			w.write(w.config())
			if err := r.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c.fault == nil {
			w.service.down()
		} else {
			w.service.fault.Store(c.fault)
		}
		w.sql(heldOut(t, n))
		seq := int64(items + n + 1)
		m := r.model(c.name+" to be noticed",
			func(m status.Model) bool { return m.Report.State == c.state && m.Report.Seq == seq })
		if m.Phase != c.phase || !strings.Contains(m.Report.Detail, c.detail) {
			t.Errorf("%s: %s, %q", c.name, m.Phase, m.Report.Detail)
		}
		d, err := r.Explain(t.Context(), model, "", time.Time{})
		if err != nil || d.Verdict == policy.VerdictRetrain || d.Reason != c.reason ||
			!strings.Contains(d.Text, "no decision is possible") {
			t.Errorf("%s: decision %s %s %q, %v", c.name, d.Verdict, d.Reason, d.Text, err)
		}
		if c.fault == nil {
			w.service.up()
		} else {
			w.service.fault.Store(nil)
		}
		r.evaluate <- struct{}{}
		r.model("it to pass", func(m status.Model) bool { return m.Report.State == drift.StateOK && m.Report.Seq == seq })
	}
	if runs := r.ended(1); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
}

func TestHeldOutSetTooSmall(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.evaluate = "{every: 1h, after_changes: 0, debounce: 10ms, max_wait: 20ms, min_items: 200}"
	w.when = "{accuracy_below: 100%}"
	r := w.start()
	r.first()
	m := r.model("the state", func(m status.Model) bool { return m.Report.State == drift.StateInsufficient })
	mustSay(t, m.Report.Detail, "scored held-out items are fewer than the 200", "evaluate.min_items")
	d, err := r.Explain(t.Context(), model, "", time.Time{})
	if err != nil || d.Verdict != policy.VerdictInconclusive || d.Reason != policy.ReasonInsufficientData {
		t.Errorf("decision %s %s, %v", d.Verdict, d.Reason, err)
	}
	mustSay(t, d.Text, "no decision is possible", "held-out item")
	mustSay(t, m.Sentence, "no decision is possible")
}
