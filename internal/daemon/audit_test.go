package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// The audit passes if stored and recomputed figures are equal. It fails if one label was changed without the counters:
// API, page and command line report that, and the recomputed figures are used from then on.
func TestAudit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.start()
	r.first()
	r.audit <- struct{}{}
	before := r.model("an audit", func(m status.Model) bool { return !m.Audit.At.IsZero() })
	if before.Audit.Difference != "" {
		t.Fatalf("nothing was wrong: %s", before.Audit.Difference)
	}

	w.raw(`update items set labels = (select labels from items b where b.labels <> items.labels and b.heldout = 1 limit 1)
		where (model, id) in (select model, id from items where heldout = 1 limit 1)`)
	r.evaluate <- struct{}{}
	r.audit <- struct{}{}
	after := r.model("the failed audit", func(m status.Model) bool { return m.Audit.Difference != "" })
	if !strings.Contains(after.Audit.Difference, "from the store") || !after.Audit.At.After(before.Audit.At) {
		t.Errorf("%+v", after.Audit)
	}
	r.model("the figures of the store", func(m status.Model) bool {
		return m.Report.Correct != before.Report.Correct && m.Report.Scored == before.Report.Scored
	})
	r.audit <- struct{}{}
	r.model("a clean audit", func(m status.Model) bool { return m.Audit.Difference == "" })
	r.stop()
	w.read(func(tx *store.Tx) error {
		told := 0
		all, err := tx.Notifications(0, 1000)
		for _, n := range all {
			if n.Kind == string(notify.AuditFailed) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%d events report it", told)
		}
		return err
	})
}

// A champion with changed files raises an alarm, and a retrain that produces the same bytes repairs it.
func TestDamagedChampionIsRepaired(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.start()
	r.first()
	before := r.model("the first release", func(m status.Model) bool { return m.Active == nil && m.Release != "" })
	dir, err := filepath.EvalSymlinks(filepath.Join(w.state, "models", model, "current"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "classifier.bin"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	f, err := os.OpenFile(files[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("oops"), 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r.audit <- struct{}{}
	m := r.model("the alarm", func(m status.Model) bool { return m.Audit.Damage != "" })
	if m.Phase != status.Broken || !strings.Contains(m.Sentence, "retraind trigger "+model) {
		t.Errorf("%s: %s", m.Phase, m.Sentence)
	}
	r.force <- struct{}{}
	if run := r.ended(2)[0]; run.Outcome != policy.OutcomePromoted {
		t.Fatalf("%+v", run)
	}
	r.audit <- struct{}{}
	m = r.model("the repair", func(m status.Model) bool { return m.Audit.Damage == "" && m.Active == nil })
	if m.Release != before.Release {
		t.Errorf("release %s, was %s", m.Release, before.Release)
	}
	if now, err := filepath.EvalSymlinks(filepath.Join(w.state, "models", model, "current")); err != nil || now == dir {
		t.Errorf("current is still %s, %v", now, err)
	}
}
