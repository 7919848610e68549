package daemon_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

// decides waits until ok returns true for the last decision.
func (r *running) decides(what string, ok func(policy.Decision) bool) {
	r.w.t.Helper()
	waittest.EventuallyHolds(r.w.t, what, func() (bool, error) {
		d, err := r.Explain(r.w.t.Context(), model, "", time.Time{})
		if err != nil {
			return false, err
		}
		return ok(d), fmt.Errorf("%s: %s", d.Verdict, d.Text)
	})
}

// Shuffled labels block a retrain. More shuffled labels are counted too, although they are not checked after each
// change while the retrain waits. Once all are corrected, no retrain is due.
func TestSuspiciousLabelsHoldARetrainUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.when, w.suspects = "{accuracy_below: 80%}", "hold"
	r := w.start()
	r.first()
	const flip = "update items set category = case category when 'sport' then 'geld' else 'sport' end where "
	relabelled := func(n int) func(status.Model) bool {
		return func(m status.Model) bool {
			s := m.Report.Suspicion
			return s != nil && s.Suspicious && s.Relabelled == n
		}
	}
	w.sql("set application_name = 'mallory'", flip+"id::int % 8 in (0, 1, 2)")
	r.model("the shuffled labels to be suspected", relabelled(items*3/8))
	r.decides("the retrain to wait for them", func(d policy.Decision) bool {
		return d.Armed() && slices.ContainsFunc(d.Blocked, func(b policy.Blocker) bool { return b.Reason == policy.ReasonSuspiciousLabels })
	})
	one := []string{"set application_name = 'mallory'"}
	for n := 3; n < items/2; n += 8 {
		one = append(one, flip+fmt.Sprintf("id = '%d'", n))
	}
	w.sql(one...)
	r.model("all of them to be suspected", relabelled(items*3/8+len(one)-1))
	w.sql(flip + fmt.Sprintf("id::int %% 8 in (0, 1, 2) or id::int %% 8 = 3 and id::int < %d", items/2))
	r.decides("nothing to be due once they are right", func(d policy.Decision) bool { return d.Verdict == policy.VerdictHold })
	if runs, err := r.Runs(t.Context(), model, 100); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v: the shuffled labels were trained on", len(runs), err)
	}
}
