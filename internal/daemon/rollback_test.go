package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// second requests a retrain on more labels than the first release had, and waits until the promoted release is
// evaluated.
func (r *running) second() (first, second status.Model) {
	r.w.t.Helper()
	r.first()
	first = r.model("the first release", func(m status.Model) bool { return m.Active == nil })
	for n := range 40 {
		category := []string{"sport", "geld"}[n%2]
		r.w.sql(fmt.Sprintf("insert into items values ('more%d', '%s', '%s')", n, text(category, 500+n), category))
	}
	r.model("the new labels", func(m status.Model) bool { return m.Report.Labels.Items == items+40 })
	r.force <- struct{}{}
	if run := r.ended(2)[0]; run.Outcome != policy.OutcomePromoted {
		r.w.t.Fatalf("the second run: %+v", run)
	}
	second = r.model("the second release to be judged", func(m status.Model) bool {
		return m.Report.Release == m.Release && m.Release != first.Release && m.Active == nil
	})
	return first, second
}

// arrive adds new items, with the numbers in the half-open range [from, to). If wrong is true, their labels contradict
// their words.
func (w *world) arrive(from, to int, wrong bool) {
	w.t.Helper()
	var all []string
	for n := from; n < to; n++ {
		words, category := "sport", "sport"
		if wrong {
			category = "geld"
		}
		all = append(all, fmt.Sprintf("insert into items values ('new%d', '%s', '%s')", n, text(words, 9000+n), category))
	}
	w.sql(all...)
}

// told counts the events of a kind, and returns the last one.
func (w *world) told(kind string) (n int, last string) {
	w.t.Helper()
	w.read(func(t *store.Tx) error {
		all, err := t.Notifications(0, 100_000)
		for _, e := range all {
			if e.Kind == kind {
				n, last = n+1, string(e.Body)
			}
		}
		return err
	})
	return n, last
}

// A release that new labels show to be worse is rolled back once. The former one serves again and is verified.
func TestProbationRollsBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.trial = "1h"
	r := w.start()
	first, second := r.second()
	p := second.Probation
	if p == nil || p.N != 0 || p.Crossed || p.Bound != 20 || p.Until.Sub(p.Since) != time.Hour ||
		!strings.HasPrefix(p.Text, "on probation since ") {
		t.Fatalf("%+v", p)
	}
	w.arrive(0, 60, true)
	runs := r.ended(3)
	m := r.model("the former release to be judged", func(m status.Model) bool {
		return m.Release == first.Release && m.Active == nil && m.Report.Release == m.Release
	})
	run := runs[0]
	if run.Outcome != policy.OutcomeRolledBack || run.Why != string(policy.ReasonProbationFailed) ||
		run.Release != second.Release || run.Pipeline != "rollback" {
		t.Errorf("%+v", run)
	}
	if !strings.Contains(run.Reason, "the probation since") || !strings.Contains(run.Reason, "are answered wrongly") ||
		!strings.Contains(run.Trigger, "rolling back to") {
		t.Errorf("%s: %s", run.Trigger, run.Reason)
	}
	var steps []string
	for _, s := range run.Steps {
		steps = append(steps, s.Name+" "+string(s.State))
	}
	if got := strings.Join(steps, ", "); got != "undo release ok, prove ok" {
		t.Errorf("steps %s", got)
	}
	if m.Probation != nil || m.Held != nil {
		t.Errorf("afterwards: %+v, held %+v", m.Probation, m.Held)
	}
	d, err := r.Explain(context.Background(), model, run.ID, time.Time{})
	if err != nil || d.Verdict != policy.VerdictRollback || d.Reason != policy.ReasonProbationFailed {
		t.Errorf("%+v, %v", d, err)
	}
	if n, body := w.told("model.rolled_back"); n != 1 || !strings.Contains(body, first.Release) ||
		!strings.Contains(body, second.Release) {
		t.Errorf("told %d times: %s", n, body)
	}
	r.ended(3) // no other run starts
	// The former release continues with its state: items since its own promotion are evidence about it.
	if m.Report.NewItems.N == 0 || m.Report.Baseline.N != first.Report.Baseline.N {
		t.Errorf("%+v %+v", m.Report.NewItems, m.Report.Baseline)
	}
}

// The probation continues after a restart.
func TestProbationOverARestart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.trial = "1h"
	r := w.start()
	first, second := r.second()
	w.arrive(0, 30, false)
	before := r.model("new items", func(m status.Model) bool {
		return m.Probation != nil && m.Probation.N > 0 && m.Report.Labels.Items == items+70
	})
	r.stop()
	w.arrive(30, 90, true)
	r = w.start()
	run := r.ended(3)[0]
	if run.Outcome != policy.OutcomeRolledBack || run.Release != second.Release {
		t.Errorf("%+v", run)
	}
	r.model("the former release", func(m status.Model) bool { return m.Release == first.Release && m.Active == nil })
	d, err := r.Explain(context.Background(), model, run.ID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var errs, n int
	if _, after, ok := strings.Cut(d.Text, " failed: "); !ok {
		t.Fatal(d.Text)
	} else if _, err := fmt.Sscanf(after, "%d of %d new items", &errs, &n); err != nil {
		t.Fatalf("%s: %v", d.Text, err)
	}
	if before.Probation.Errors+errs == 0 || n <= before.Probation.N ||
		n-before.Probation.N < errs-before.Probation.Errors {
		t.Errorf("before the restart %+v, at the crossing %d of %d", before.Probation, errs, n)
	}
}

func TestProbationEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.trial = "{for: 2s, false_rollbacks: 1%}"
	r := w.start()
	_, second := r.second()
	over := r.model("the end of the probation",
		func(m status.Model) bool { return m.Probation == nil && m.Report.Probation != nil })
	if over.Release != second.Release || over.Report.Probation.Crossed || over.Report.Probation.Bound != 100 {
		t.Errorf("%+v", over.Report.Probation)
	}
	w.arrive(0, 60, true)
	m := r.model("the new labels",
		func(m status.Model) bool { return m.Report.Labels.Items == items+100 && m.Report.NewItems.N > 10 })
	if m.Report.Probation.N != over.Report.Probation.N || m.Release != second.Release {
		t.Errorf("%+v", m.Report.Probation)
	}
	r.ended(2)
}

// If there is no release to roll back to, nothing is done, and API, page and command line report that.
func TestProbationWithoutAFormerRelease(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*world){
		"there was none":     nil,
		"its files are gone": (*world).lose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.trial = "1h"
			r := w.start()
			runs, want := 1, "there is no previous release"
			if spoil == nil {
				r.first()
			} else {
				r.second()
				spoil(w)
				runs, want = 2, "the previous one, are missing"
			}
			w.arrive(0, 60, true)
			m := r.model("the alarm", func(m status.Model) bool { return m.Probation != nil && m.Probation.Crossed })
			if m.Phase != status.Broken || !strings.Contains(m.Sentence, "the release cannot be rolled back: ") ||
				!strings.Contains(m.Sentence, want) {
				t.Errorf("%s: %s", m.Phase, m.Sentence)
			}
			waittest.EventuallyHolds(t, "the decision to be told", func() (bool, error) { // the event follows the report
				_, body := w.told("decision.made")
				return strings.Contains(body, string(policy.ReasonNoFormerRelease)), nil
			})
			r.ended(runs)
		})
	}
}

// lose removes the files of the former release.
func (w *world) lose() {
	w.t.Helper()
	w.read(func(t *store.Tx) error {
		row, err := t.Model(model)
		if err != nil {
			return err
		}
		former, err := t.Release(row.Name, row.Previous)
		if err != nil {
			return err
		}
		return os.RemoveAll(filepath.Clean(former.Path))
	})
}
