package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/daemon"
	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
)

// followedSQL creates the table for the kill tests, and a table audit. Triggers write each true change to audit in the
// writer's transaction, so that it has the changes of each item in order.
const followedSQL = `CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL, category text);
CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY, id int, category text);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (id, category) VALUES (NEW.id, NEW.category); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE OF category ON items FOR EACH ROW EXECUTE FUNCTION audit();
INSERT INTO items SELECT g, 'text ' || g, 'first' FROM generate_series(1, 60) g;`

func followedConfig(dsn string, capture postgres.Capture) *postgres.Config {
	return &postgres.Config{
		DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title"}, Label: "category",
		Capture: capture,
	}
}

// followTable is the child's task: it stores the changes of a table until it is killed.
func followTable() error {
	s, err := store.Open(context.Background(), os.Getenv("FOLLOW_STATE"))
	if err != nil {
		return err
	}
	source, err := postgres.New(model,
		followedConfig(os.Getenv("FOLLOW_DSN"), postgres.Capture(os.Getenv("FOLLOW_CAPTURE"))), daemon.NewSink(s, model), nil,
		slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	return source.Run(context.Background())
}

// TestKilledWhileOthersWrite kills the reader with SIGKILL at random moments, and the server sometimes, while writers
// commit. Each change of each item is stored once and in order: none lost, none counted twice. RETRAIND_LONG=1 kills
// 200 times, and the server 50 times.
func TestKilledWhileOthersWrite(t *testing.T) {
	t.Parallel()
	kills := 6
	if os.Getenv("RETRAIND_LONG") != "" {
		kills = 250
	}
	for _, capture := range []postgres.Capture{postgres.CaptureOutbox, postgres.CaptureLogical} {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.Cluster(t, pgcluster.Options{Settings: map[string]string{"wal_level": "logical"}})
			f := &following{
				t: t, cluster: cluster, dsn: cluster.DSN("postgres"), state: t.TempDir(), capture: capture,
				lives: 250 * time.Millisecond,
			}
			f.command = f.reader
			migration, err := postgres.Migration(model, followedConfig(f.dsn, capture))
			if err != nil {
				t.Fatal(err)
			}
			f.exec(followedSQL + migration)
			f.play(kills)
		})
	}
}

// TestDaemonKilledWhileOthersWrite does the same with the whole program, but only with triggers.
func TestDaemonKilledWhileOthersWrite(t *testing.T) {
	t.Parallel()
	kills := 6
	if os.Getenv("RETRAIND_LONG") != "" {
		kills = 250
	}
	w := alone(t)
	w.hours = closed() // without training
	f := &following{
		t: t, cluster: pgtest.Cluster(t, pgcluster.Options{}), state: w.state, capture: postgres.CaptureOutbox,
		lives: 1500 * time.Millisecond,
	}
	f.dsn = f.cluster.DSN("postgres")
	migration, err := postgres.Migration(model, followedConfig(f.dsn, f.capture))
	if err != nil {
		t.Fatal(err)
	}
	f.exec(followedSQL + migration)
	w.labels = fmt.Sprintf("{postgres: {dsn: %q, table: items, id: id, text: [title], label: category}}", f.dsn)
	w.write(w.config())
	program := realProgram(t, w.dir)
	f.command = func() *exec.Cmd { return exec.Command(program, "run", "-c", w.path()) }
	f.play(kills)
}

// following is one table with a reader that is killed.
type following struct {
	t          *testing.T
	cluster    *pgcluster.Cluster
	dsn, state string
	capture    postgres.Capture
	command    func() *exec.Cmd // the reader
	lives      time.Duration    // maximum time until it is killed
}

func (f *following) exec(sql string) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.dsn)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	if _, err := conn.PgConn().Exec(f.t.Context(), sql).ReadAll(); err != nil {
		f.t.Fatal(err)
	}
}

// reader returns a command that follows a source and writes a store, without the rest of a daemon.
func (f *following) reader() *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(self, "follow")
	cmd.Env = append(os.Environ(), "FOLLOW_STATE="+f.state, "FOLLOW_DSN="+f.dsn, "FOLLOW_CAPTURE="+string(f.capture))
	return cmd
}

// child starts a reader.
func (f *following) child() *exec.Cmd {
	f.t.Helper()
	cmd := f.command()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return cmd
}

func (f *following) play(kills int) {
	t := f.t
	reader := f.child()
	f.stored("the first read", func(s seen) bool { return len(s.items) == 60 })
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { f.write(w, stop) })
	}
	random := rand.New(rand.NewPCG(3, 4))
	for n := range kills {
		<-time.After(time.Duration(random.Int64N(int64(f.lives))))
		if n%5 == 4 {
			if err := f.cluster.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := f.cluster.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := reader.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = reader.Wait() // killed
		reader = f.child()
	}
	close(stop)
	writers.Wait()
	items, audit := f.truth()
	f.stored("everything that was written", func(s seen) bool { return cmp.Equal(items, s.items) })
	if err := reader.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = reader.Wait() // killed
	got := f.look()
	if diff := cmp.Diff(audit, got.changes); diff != "" {
		t.Errorf("changes by item (-as committed +as stored):\n%.3000s", diff)
	}
	crashes := int64(0)
	if f.capture == postgres.CaptureOutbox { // after each crash of the server the table is read again
		crashes = int64(kills / 5)
	}
	if got.sweep < 1 || got.sweep > 1+crashes {
		t.Errorf("the whole table was read %d times", got.sweep)
	}
	n := 0
	for _, list := range audit {
		n += len(list)
	}
	t.Logf("%d changes over %d kills", n, kills)
}

// write sets unique labels until the channel stop is closed. The server may be killed meanwhile.
func (f *following) write(w int, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(uint64(w), 9))
	var conn *pgx.Conn
	for n := 0; ; n++ {
		select {
		case <-stop:
			if conn != nil {
				_ = conn.Close(f.t.Context())
			}
			return
		case <-time.After(time.Duration(random.IntN(4)) * time.Millisecond):
		}
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(f.t.Context(), f.dsn); err != nil {
				conn = nil
				continue
			}
		}
		err := pgx.BeginFunc(f.t.Context(), conn, func(tx pgx.Tx) error {
			// In the order of their ids, so that writers do not deadlock.
			for id := 1 + random.IntN(60); id <= 60; id += 1 + random.IntN(40) {
				if _, err := tx.Exec(f.t.Context(), "UPDATE items SET category = $2 WHERE id = $1", id,
					fmt.Sprintf("%d:%d:%d", w, n, id)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && !conn.IsClosed() && f.t.Context().Err() == nil {
			_ = conn.Close(f.t.Context()) // the server is down
		}
	}
}

// truth returns the contents of the table, and each item's changes by the writers.
func (f *following) truth() (items map[string]string, audit map[string][]string) {
	conn, err := pgx.Connect(f.t.Context(), f.dsn)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	items, audit = map[string]string{}, map[string][]string{}
	var id, category string
	for sql, take := range map[string]func(){
		"SELECT id::text, category FROM items":            func() { items[id] = category },
		"SELECT id::text, category FROM audit ORDER BY n": func() { audit[id] = append(audit[id], category) },
	} {
		rows, err := conn.Query(f.t.Context(), sql)
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := pgx.ForEachRow(rows, []any{&id, &category}, func() error { take(); return nil }); err != nil {
			f.t.Fatal(err)
		}
	}
	return items, audit
}

// seen is the contents of the store.
type seen struct {
	items   map[string]string
	changes map[string][]string // after the first read
	sweep   int64
}

func (f *following) look() (s seen) {
	f.t.Helper()
	s.items, s.changes = map[string]string{}, map[string][]string{}
	r, err := store.OpenReader(f.state)
	if err != nil {
		return s // not there yet
	}
	defer r.Close()
	err = r.View(f.t.Context(), func(t *store.Tx) error {
		for it, err := range t.Items(model) {
			if err != nil {
				return err
			}
			s.items[it.ID] = it.Labels[postgres.DefaultTarget]
		}
		changes, err := t.Changes(model, 0, 1e6)
		for _, c := range changes {
			if c.Op == string(watch.OpLabel) {
				s.changes[c.Item] = append(s.changes[c.Item], c.New[postgres.DefaultTarget])
			}
		}
		if err == nil {
			s.sweep, err = t.LastSweep(model)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *following) stored(what string, ok func(seen) bool) {
	f.t.Helper()
	waittest.EventuallyHolds(f.t, what, func() (bool, error) {
		<-time.After(50 * time.Millisecond)
		return ok(f.look()), nil
	})
}
