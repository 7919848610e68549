package daemon_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
)

func TestReload(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.when = "{accuracy_below: 30%}"
	r := w.start()
	r.first()
	before, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := w.config()

	t.Log("a bad file is refused, with its place, and everything stays")
	w.write(strings.Replace(good, "accuracy_below: 30%", "accuracy_bellow: 30%", 1))
	err = r.Reload(t.Context())
	if err == nil {
		t.Fatal("a bad file was accepted")
	}
	mustSay(t, err.Error(), "the old one stays", w.path()+":", "accuracy_bellow")
	s, err := r.Snapshot(t.Context())
	if err != nil || s.Config.Digest != before.Config.Digest || s.Models[0].Floor != 0.3 {
		t.Errorf("after a bad file: %+v, floor %v, %v", s.Config, s.Models[0].Floor, err)
	}
	mustSay(t, s.Config.Problem, "accuracy_bellow")
	if n := len(w.kinds(notify.ConfigRejected)); n == 0 {
		t.Error("the refused file was not reported")
	}

	t.Log("hot keys are exchanged")
	hot := strings.Replace(good, "accuracy_below: 30%", "accuracy_below: 40%", 1)
	w.write(hot)
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.model("the new floor", func(m status.Model) bool { return m.Floor == 0.4 })
	s, err = r.Snapshot(t.Context())
	if err != nil || s.Config.Problem != "" || s.Config.Digest == before.Config.Digest || len(s.Config.RestartNeeded) > 0 {
		t.Errorf("after a good file: %+v, %v", s.Config, err)
	}
	eventuallyDecides(t, r, "retrain_when.accuracy_below", 0.4)

	t.Log("cold keys are named and keep their values")
	cold := strings.NewReplacer("table: items", "table: others", "listen: off", "listen: 127.0.0.1:1", "share: 30%",
		"share: 20%", "accuracy_below: 40%", "accuracy_below: 50%").Replace(hot)
	w.write(cold)
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.model("the floor beside them", func(m status.Model) bool { return m.Floor == 0.5 })
	s, err = r.Snapshot(t.Context())
	if diff := cmp.Diff([]string{"listen", "models.news.labels", "models.news.heldout"},
		s.Config.RestartNeeded); diff != "" || err != nil {
		t.Errorf("restart needed (-want +got), %v:\n%s", err, diff)
	}
	w.sql("update items set category = 'sport' where id = '1'") // still the old table
	r.model("a change of the old table", func(m status.Model) bool { return m.Report.Seq == items+1 })
}

func eventuallyDecides(t *testing.T, r *running, condition string, bound float64) {
	t.Helper()
	waittest.EventuallyHolds(t, condition, func() (bool, error) {
		d, err := r.Explain(t.Context(), model, "", time.Time{})
		if err != nil {
			return false, err
		}
		for _, c := range d.Conditions {
			if c.Config == condition && c.Bound == bound && d.Verdict == policy.VerdictHold {
				return true, nil
			}
		}
		return false, nil
	})
}

// pausingBarrier is a Barrier that pauses the next evaluation that calls it.
type pausingBarrier struct{ next atomic.Pointer[pause] }

type pause struct{ reached, over chan struct{} }

func (b *pausingBarrier) Barred(string) string {
	if p := b.next.Swap(nil); p != nil {
		close(p.reached)
		<-p.over
	}
	return ""
}

// A run that is asked for after a reload has the new pipeline, even if an evaluation was in progress at the reload.
func TestRunAfterReload(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.when = "{accuracy_below: 30%}"
	b := &pausingBarrier{}
	w.barrier = b
	r := w.start()
	r.first()
	p := &pause{make(chan struct{}), make(chan struct{})}
	b.next.Store(p)
	r.evaluate <- struct{}{}
	<-p.reached
	w.steps = w.usual("{name: note, exec: [/bin/true], kind: pure}, ")
	w.write(w.config())
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The request is answered without a run, because the evaluation is paused.
	if got, err := r.Trigger(t.Context(), model, status.Request{}); err != nil || got.Run != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	close(p.over)
	run, err := r.Run(t.Context(), r.ended(2)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, s := range run.Steps {
		steps = append(steps, s.Name)
	}
	if !slices.Contains(steps, "note") {
		t.Errorf("the run has the steps %q", steps)
	}
}
