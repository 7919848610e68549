//go:build !race

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// patience is the time limit of a scenario. A scenario takes about two seconds, and longer on a loaded machine.
const patience = 90 * time.Second

// story is one scenario from an empty state to the end of its second run, or of the third one (see takenBack).
type story struct {
	place
	*guardian
	ctx     context.Context
	t       *testing.T
	ending  ending
	service *service
	witness *witness
	sub     *subscriber
	db      *pgx.Conn
	made    int // number of label changes that people have made
	rested  time.Time
	again   []string // further attempts at the training of the first run that the scenario causes, such as a2
}

var brokers atomic.Int32

// newBroker returns an address for a scenario's broker that no other scenario has. A restarted daemon must find its
// broker's port free; a port that the kernel had chosen could be taken by then.
func newBroker() string {
	n := int(brokers.Add(1))
	return fmt.Sprintf("127.%d.%d.%d:%d", 64+os.Getpid()>>8&63, os.Getpid()&255, 1+n%250, 4222+n/250)
}

func newStory(t *testing.T, end ending, at ...string) *story {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	p := place{
		dir: t.TempDir(), dsn: database(t), program: program(t), helper: self, broker: newBroker(),
		trial: end == takenBack, stale: end == rolledBack,
	}
	ctx, fail := context.WithCancelCause(t.Context())
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the scenario has not ended after %s", patience))
	t.Cleanup(stop)
	p.salt = filepath.Join(p.dir, "salt")
	check(t, os.WriteFile(p.salt, []byte("pepper\n"), 0o600))
	s := &story{place: p, ctx: ctx, t: t, ending: end}
	s.service = &service{place: p}
	s.service.socket, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	s.classify = s.service.socket.Addr().String()
	s.service.place = s.place
	s.guardian = &guardian{
		place: s.place, at: at, client: status.NewClient(filepath.Join(s.state(), "retraind.sock")),
		fail: fail,
	}
	s.db, err = pgx.Connect(ctx, p.dsn)
	check(t, err)
	s.sub, err = subscribe(p.broker, s.state())
	check(t, err)
	check(t, os.MkdirAll(filepath.Join(s.state(), "models", model), 0o700)) // for the classifier's file watch
	s.witness = observe(s.state())
	t.Cleanup(func() {
		s.kill()
		s.service.stop()
		s.witness.close()
		s.sub.conn.Close()
		s.client.Close()
		s.drop()
		_ = s.service.socket.Close()
		killLeftovers(s.state())
	})
	return s
}

// drop deletes the database of the scenario, since each of about a hundred scenarios creates one.
func (s *story) drop() {
	ctx := context.Background()
	name := s.db.Config().Database
	_ = s.db.Close(ctx)
	admin, err := pgx.Connect(ctx, pgtest.Shared().DSN("postgres"))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)"); err != nil {
		s.t.Error(err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// play runs the scenario. Its steps do not depend on where the daemon is killed.
func (s *story) play() error {
	if err := errors.Join(s.write(false), s.begin(), s.service.start(true)); err != nil {
		return err
	}
	type step struct {
		what string
		do   func() error
	}
	steps := []step{
		{"everything is read", func() error { return s.upto(items) }},
		{"a first release is requested", s.demand},
		{"the first run", func() error { return s.ended(1) }},
		{"labels change", s.correct},
		{"the changes are read", func() error { return s.upto(items + s.made) }},
		{"quiet hours begin", s.open},
		{"the second run", func() error { return s.ended(2) }},
		{"rest", s.rest},
	}
	if s.ending == takenBack {
		steps = append(steps, step{"new items come", s.disappoint}, step{"the third run", func() error { return s.ended(3) }},
			step{"rest again", s.rest})
	}
	steps = append(steps, step{"stop", func() error { return s.stop(s.ctx) }})
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.what, err, tail(s.log(), 6000))
		}
	}
	s.service.stop()
	s.witness.close()
	return nil
}

// model queries the daemon, even if it is restarted meanwhile, until ok returns true for the status.
func (s *story) model(what string, ok func(status.Status, status.Model) bool) error {
	return waittest.Until(s.ctx, what, func() (bool, error) {
		snap, err := s.client.Snapshot(s.ctx)
		if err != nil {
			return false, err
		}
		if len(snap.Models) != 1 {
			return false, fmt.Errorf("the status has %d models, want one", len(snap.Models))
		}
		if ok(snap, snap.Models[0]) {
			return true, nil
		}
		return false, errors.New(snap.Models[0].Sentence)
	})
}

// upto waits until the report includes this number of label changes.
func (s *story) upto(changes int) error {
	return s.model(fmt.Sprintf("%d label changes", changes), func(_ status.Status, m status.Model) bool {
		return m.Report != nil && m.Report.Seq == int64(changes)
	})
}

// demand requests the first run exactly once: after a crash, the store shows whether the request was accepted.
func (s *story) demand() error {
	return waittest.Until(s.ctx, "the request to be accepted", func() (bool, error) {
		cmd, err := s.serving(s.ctx)
		if err != nil {
			return false, err
		}
		// A process that got an earlier request is dead by now. If it has not stored the request, the request is lost.
		if heard, err := s.heard(); err != nil || heard {
			return heard, err
		}
		_, asked := s.client.Trigger(s.ctx, model, status.Request{Reason: "the story begins"})
		if asked == nil {
			return true, nil
		}
		return false,
			errors.Join(asked, waittest.Until(s.ctx, "another process", func() (bool, error) { return s.process() != cmd, nil }))
	})
}

func (s *story) heard() (heard bool, err error) {
	r, err := store.OpenReader(s.state())
	if err != nil {
		return false, err
	}
	defer r.Close()
	err = r.View(s.ctx, func(t *store.Tx) error {
		runs, err := t.Runs(model, 1)
		if err != nil {
			return err
		}
		row, err := t.Model(model)
		heard = len(runs) > 0 || row.Force != ""
		return err
	})
	return heard, err
}

// ended waits until this number of runs exist and all have ended.
func (s *story) ended(runs int) error {
	return waittest.Until(s.ctx, fmt.Sprintf("the end of %d runs", runs), func() (bool, error) {
		list, err := s.client.Runs(s.ctx, model, 10)
		if err != nil {
			return false, err
		}
		if len(list) > runs {
			return false, fmt.Errorf("there are %d runs, want %d", len(list), runs)
		}
		return len(list) == runs && list[0].State == store.RunEnded, nil
	})
}

// correct changes the table as people do.
func (s *story) correct() error {
	if s.ending == rolledBack { // from now on the service reads its model only at start
		s.service.stop()
		if err := s.service.start(false); err != nil {
			return err
		}
	}
	e := split()
	if s.ending == rejected {
		e = poison()
	}
	for i, statements := range e.transactions {
		tx, err := s.db.Begin(s.ctx)
		if err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := tx.Exec(s.ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		if err := tx.Commit(s.ctx); err != nil {
			return err
		}
		if i == 0 { // wait only for the first transaction: the others may be read at any time later
			if err := s.upto(items + e.first); err != nil {
				return err
			}
		}
	}
	s.made = e.changes
	return nil
}

// disappoint adds items on which the second release is less accurate than its gate measured.
func (s *story) disappoint() error {
	e := worse()
	for _, statements := range e.transactions {
		if _, err := s.db.Exec(s.ctx, strings.Join(statements, ";")); err != nil {
			return err
		}
	}
	s.made += e.changes
	return nil
}

// open gives the daemon a configuration in which quiet hours are always open. The daemon may be killed while it
// reloads; the next process reads the new configuration at its start.
func (s *story) open() error {
	snap, err := s.client.Snapshot(s.ctx)
	if err != nil {
		return err
	}
	if err := s.write(true); err != nil {
		return err
	}
	if err := s.signal(s.ctx, syscall.SIGHUP); err != nil {
		return err
	}
	return s.model("the new configuration",
		func(now status.Status, _ status.Model) bool { return now.Config.Digest != snap.Config.Digest })
}

// rest waits until all events are published and the report is about the serving release.
func (s *story) rest() error {
	defer func() { s.rested = time.Now().Add(-time.Second) }() // the events of the last second may still be unpublished
	return s.model("rest", func(now status.Status, m status.Model) bool {
		current, err := os.Readlink(actions.CurrentLink(filepath.Join(s.state(), "models", model)))
		if err != nil {
			return false
		}
		r, err := actions.ReadRelease(filepath.Join(s.state(), "models", model, current))
		return err == nil && now.OutboxPending == 0 && m.Active == nil && m.Release == r.Digest && m.Report != nil &&
			m.Report.Release == m.Release && m.Report.Seq == int64(items+s.made)
	})
}
