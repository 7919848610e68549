package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/natstest"
	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// While NATS is unreachable, during operation and at a restart, runs continue, no event is lost, and the order is kept.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	w := setup(t)
	server := natstest.Start(t)
	w.nats = fmt.Sprintf("{url: %q}", server.URL())
	w.hours = closed()
	r := w.start()
	r.told(0)
	server.Down()
	r.force <- struct{}{}
	r.first()
	if n := r.told(-1); n == 0 {
		t.Error("no event is pending although the broker is down")
	}
	r.stop()
	r = w.start() // starts without a broker
	if s, err := r.Snapshot(t.Context()); err != nil || s.OutboxPending == 0 {
		t.Errorf("after a restart %d events wait, %v", s.OutboxPending, err)
	}
	server.Up()
	r.told(0)
	r.stop()
	var want []string
	w.read(func(tx *store.Tx) error {
		all, err := tx.Notifications(0, 1000)
		for _, n := range all {
			if !n.Published.IsZero() {
				want = append(want, n.Kind+" "+n.ID)
			} else if n.Kind != string(notify.DaemonStopping) {
				t.Errorf("%s %s was not published", n.Kind, n.ID)
			}
		}
		return err
	})
	if diff := cmp.Diff(want, inStream(t, server)); diff != "" {
		t.Errorf("events (-outbox +stream):\n%s", diff)
	}
}

// told waits until the number of unpublished events equals want, and returns the number. If want is -1, it only counts.
func (r *running) told(want int) (n int) {
	r.w.t.Helper()
	waittest.EventuallyHolds(r.w.t, "the outbox", func() (bool, error) {
		s, err := r.Snapshot(context.Background())
		n = s.OutboxPending
		return err == nil && (want < 0 || n == want), err
	})
	return n
}

func inStream(t *testing.T, server *natstest.Server) (list []string) {
	t.Helper()
	js, err := jetstream.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), notify.Stream)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= stream.CachedInfo().State.LastSeq; n++ {
		m, err := stream.GetMsg(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		e, err := notify.Decode(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(e.Kind)+" "+m.Header.Get(jetstream.MsgIDHeader))
	}
	return list
}

// If PostgreSQL is unreachable at a start after the first one, the daemon becomes ready, reports the fault, and reads
// the missed changes later.
func TestPostgresAwayLater(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	cluster := pgtest.Cluster(t, pgcluster.Options{})
	w.dsn = cluster.DSN("postgres")
	w.sql(tableSQL(), migration(t))
	r := w.start()
	r.model("the table to be read", func(m status.Model) bool { return m.Report != nil && m.Report.Seq == items })
	r.stop()
	w.sql("update items set category = 'sport' where id in ('1', '3')")
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	r = w.start()
	m := r.model("trouble to be shown", func(m status.Model) bool { return m.Phase == status.Broken })
	mustSay(t, m.Sentence, "labels cannot be read", "cannot reach")
	if m.Sources[0].Up || m.Sources[0].Error == "" {
		t.Errorf("source: %+v", m.Sources[0])
	}
	if _, err := r.Trigger(t.Context(), model, status.Request{}); !errors.Is(err, status.ErrRefused) {
		t.Errorf("a run was begun although nothing can be exported: %v", err)
	} else {
		mustSay(t, err.Error(), "labels cannot be exported", "cannot reach")
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.model("the changes made meanwhile", func(m status.Model) bool { return m.Sources[0].Up && m.Report.Seq == items+2 })
	if err := cluster.Kill(); err != nil { // and again, now while it is connected
		t.Fatal(err)
	}
	r.model("trouble to be shown again", func(m status.Model) bool { return m.Phase == status.Broken })
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sql("delete from items where id = '5'")
	r.model("the change after that", func(m status.Model) bool { return m.Sources[0].Up && m.Report.Seq == items+3 })
	w.read(func(tx *store.Tx) error {
		n := 0
		for _, err := range tx.Items(model) {
			if err != nil {
				return err
			}
			n++
		}
		if n != items-1 {
			t.Errorf("%d items are stored, %d are in the table", n, items-1)
		}
		return nil
	})
}

// No change and no decision is lost while the store cannot be written, for example on a full disk. The test simulates
// this with a trigger that refuses reports.
func TestStoreThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	r := w.start()
	r.model("the table to be read", func(m status.Model) bool { return m.Report != nil && m.Report.Seq == items })
	w.refuseReports()
	w.sql("update items set category = 'sport' where id in ('1', '3')")
	r.model("trouble to be shown", func(m status.Model) bool {
		return m.Phase == status.Broken && strings.Contains(m.Sentence, "no more reports")
	})
	w.raw("drop trigger refuse")
	r.evaluate <- struct{}{}
	r.model("it to pass", func(m status.Model) bool { return m.Phase == status.Armed && m.Report.Seq == items+2 })
	if received := w.received(); received != items+2 {
		t.Errorf("the events report %d label changes, %d were made", received, items+2)
	}
}

// received returns how many label changes the events labels.received report.
func (w *world) received() (changes int) {
	w.t.Helper()
	w.read(func(tx *store.Tx) error {
		all, err := tx.Notifications(0, 100_000)
		for _, n := range all {
			if e, err := notify.Decode(n.Body); err == nil && e.Kind == notify.LabelsReceived {
				data, err := notify.Unpack[notify.Labels](e)
				if err != nil {
					return err
				}
				changes += data.Changes
			}
		}
		return err
	})
	return changes
}

// A restarted daemon does not repeat events, and publishes what has changed.
func TestRestartTellsOnlyNews(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	r := w.start()
	r.model("a decision", func(m status.Model) bool { return m.Phase == status.Armed && m.Report.Seq == items })
	r.recorded()
	r.stop()
	kinds := w.kinds(notify.DriftTripped, notify.DecisionMade, notify.RunScheduled)
	r = w.start()
	r.model("a decision", func(m status.Model) bool { return m.Phase == status.Armed && m.Report != nil })
	r.recorded()
	r.stop()
	if diff := cmp.Diff(kinds, w.kinds(notify.DriftTripped, notify.DecisionMade, notify.RunScheduled)); diff != "" {
		t.Errorf("events after a restart (-before +after):\n%s", diff)
	}
	w.hours = ""
	r = w.start() // the quiet hours are over
	r.first()
	r.recorded()
	r.stop()
	if n := len(w.kinds(notify.DriftCleared)); n != 1 {
		t.Errorf("drift.cleared was sent %d times", n)
	}
}

// recorded waits until the present decision is recorded with its events: the status shows a decision before that.
func (r *running) recorded() {
	r.w.t.Helper()
	if _, err := r.Evaluate(context.Background(), model); err != nil {
		r.w.t.Fatal(err)
	}
}

// kinds lists the events of some kinds in the outbox, in order.
func (w *world) kinds(want ...notify.Kind) (list []string) {
	w.t.Helper()
	w.read(func(tx *store.Tx) error {
		all, err := tx.Notifications(0, 1000)
		for _, n := range all {
			for _, kind := range want {
				if n.Kind == string(kind) {
					list = append(list, n.Kind+" "+n.ID)
				}
			}
		}
		return err
	})
	return list
}

// nothingOf waits until no process of a run is left.
func (w *world) nothingOf(run string) {
	w.t.Helper()
	waittest.EventuallyHolds(w.t, "the end of every process of run "+run, func() (bool, error) {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return false, err
		}
		for _, e := range entries {
			if env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ")); err == nil &&
				strings.Contains(string(env), "RETRAIND_ATTEMPT="+run) {
				return false, fmt.Errorf("process %s", e.Name())
			}
		}
		return true, nil
	})
}

// A source with a permanent fault retries at once when the configuration is reloaded.
func TestReloadTriesSourcesAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	r := w.start()
	r.model("the table to be read", func(m status.Model) bool { return m.Report != nil && m.Report.Seq == items })
	r.stop()
	w.sql("alter table items disable trigger retraind_"+model+"_update", "update items set category = category")
	r = w.start()
	r.model("trouble to be shown",
		func(m status.Model) bool { return strings.Contains(m.Sources[0].Error, "are disabled") })
	w.sql("alter table items enable always trigger retraind_" + model + "_update")
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.model("the source to be up", func(m status.Model) bool { return m.Sources[0].Up })
}
