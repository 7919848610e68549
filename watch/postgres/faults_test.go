package postgres

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func render(found check.Problems) string {
	var out strings.Builder
	for _, p := range found {
		fmt.Fprintf(&out, "%s: %s\n    %s\n", p.Path, p.Message, p.Hint)
	}
	return out.String()
}

// TestMessages pins the message of Check for each fault, and that a source refuses to follow with the same message.
func TestMessages(t *testing.T) {
	t.Parallel()
	migration, err := Migration("m", itemsConfig("host=x"))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		spoil  string // SQL
		config func(*Config)
	}{
		{"unknown database", "", func(c *Config) { c.DSN = strings.Replace(c.DSN, "dbname='", "dbname='no_", 1) }},
		{"unknown user", "", func(c *Config) { c.DSN = strings.Replace(c.DSN, "user=postgres", "user=nobody_here", 1) }},
		{"no server", "", func(c *Config) { c.DSN = "host=/nowhere dbname=x user=u" }},
		{"refused", "", func(c *Config) { c.DSN = "postgres://u:secret@127.0.0.1:1/x" }},
		{"keyword misspelt", "", func(c *Config) { c.DSN = "host=/nowhere user=u pasword=secret dbname=x search_path=app" }},
		{"dsn file missing", "", func(c *Config) { c.DSN, c.DSNFile = "", "/nowhere/dsn" }},
		{"table missing", "", func(c *Config) { c.Table = "itmes" }},
		{"schema missing", "", func(c *Config) { c.Table = "app.items" }},
		{"view", "CREATE VIEW v AS SELECT * FROM items", func(c *Config) { c.Table = "v" }},
		{"partitioned", "CREATE TABLE p (LIKE items) PARTITION BY RANGE (id)", func(c *Config) { c.Table = "p" }},
		{
			"partition", "CREATE TABLE p (LIKE items) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT",
			func(c *Config) { c.Table = "p1" },
		},
		{"inherited", "CREATE TABLE child () INHERITS (items)", nil},
		{
			"foreign table",
			"CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (id int, title text) SERVER s",
			func(c *Config) { c.Table = "f" },
		},
		{"other bounds", "UPDATE retraind.sources SET max_rows = 5", nil},
		{"columns missing", "", func(c *Config) { c.Label, c.Text[1], c.UpdatedAt = "categroy", "Content", "changed" }},
		{"column renamed", "ALTER TABLE items RENAME category TO kind", nil},
		{"expression", "", func(c *Config) { *c = *c.WithTargets(map[string]string{"relevant": "prio <> 'none'"}) }},
		{"not installed", "DROP SCHEMA retraind CASCADE", nil},
		{"trigger missing", "DROP TRIGGER retraind_m_update ON items; DROP TRIGGER retraind_m_delete ON items", nil},
		{"trigger disabled", "ALTER TABLE items DISABLE TRIGGER retraind_m_insert", nil},
		{
			"before trigger",
			"CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch()",
			nil,
		},
		{"other configuration", "", func(c *Config) { c.Text = unit.List{"title"} }},
		{
			"no rights", "CREATE ROLE messages_poor LOGIN",
			func(c *Config) { c.DSN = strings.Replace(c.DSN, "user=postgres", "user=messages_poor", 1) },
		},
		{
			"few rights",
			"CREATE ROLE messages_less LOGIN; GRANT USAGE ON SCHEMA retraind TO messages_less; GRANT SELECT ON ALL TABLES IN SCHEMA retraind TO messages_less; GRANT SELECT (id, title) ON items TO messages_less",
			func(c *Config) { c.DSN = strings.Replace(c.DSN, "user=postgres", "user=messages_less", 1) },
		},
		{"no unique key", "ALTER TABLE items DROP CONSTRAINT items_pkey", nil},
	}
	var out strings.Builder
	clean := pgtest.Database(t, itemsSQL, migration)
	for _, c := range cases {
		dsn := clean
		if c.spoil != "" {
			dsn = pgtest.Database(t, itemsSQL, migration)
		}
		cfg := itemsConfig(dsn)
		if c.spoil != "" {
			if _, err := connect(t, dsn).PgConn().Exec(t.Context(), c.spoil).ReadAll(); err != nil {
				t.Fatal(err)
			}
		}
		if c.config != nil {
			c.config(cfg)
		}
		found := Check(t.Context(), "m", cfg)
		said := render(found)
		said = strings.ReplaceAll(said, pgtest.Shared().Dir(), "SOCKETDIR")
		name := dsn[strings.LastIndex(dsn, "test_"):]
		said = strings.ReplaceAll(said, strings.TrimSuffix(name, "'"), "DATABASE")
		fmt.Fprintf(&out, "## %s\n%s\n", c.name, said)

		b := &bundle{t: t, cfg: cfg, sink: newMemory()}
		source, stop := b.start()
		if c.name == "no unique key" || c.name == "other bounds" { // only a warning
			b.ready()
		} else {
			b.sink.until(t, "the trouble", func() bool { return source.Health().Error != "" })
			if h := source.Health(); h.Up || len(found) == 0 || !strings.Contains(h.Error, found[0].Message) {
				t.Errorf("%s: health %+v", c.name, h)
			}
		}
		stop()
	}
	golden(t, "messages.txt", out.String())
	if strings.Contains(out.String(), "secret") {
		t.Error("the password is in a message")
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Cluster(t, pgcluster.Options{Passwords: true})
	cfg := itemsConfig(strings.Replace(cluster.DSN("postgres"), "password=postgres", "password=hunter2", 1))
	var out strings.Builder
	out.WriteString(render(Check(t.Context(), "m", cfg)))
	cfg.DSNFile = filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(cfg.DSNFile, []byte(cfg.DSN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.DSN = ""
	source, err := New("m", cfg, newMemory(), nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v\n", source.Probe(t.Context()))
	text := strings.ReplaceAll(strings.ReplaceAll(out.String(), cluster.Dir(), "SOCKETDIR"), cfg.DSNFile, "DSNFILE")
	golden(t, "password.txt", text)
	if strings.Contains(text, "hunter2") {
		t.Error("the password is in a message")
	}
}

// TestRetryAfterAPermanentFault: after a permanent fault the source retries after a minute, or at once on request.
func TestRetryAfterAPermanentFault(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`ALTER TABLE items DISABLE TRIGGER retraind_m_update`)
	source, _ := b.start()
	b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, "are disabled") })
	b.exec(`ALTER TABLE items ENABLE TRIGGER retraind_m_update`)
	source.Retry()
	b.ready()
	b.sink.until(t, "health", func() bool { return source.Health().Up })
}

// serverOfItsOwn returns a separate server, which a test may kill, with the table and the triggers.
func serverOfItsOwn(t *testing.T, settings map[string]string) (*pgcluster.Cluster, *Config) {
	t.Helper()
	cluster := pgtest.Cluster(t, pgcluster.Options{Settings: settings})
	cfg := itemsConfig(cluster.DSN("postgres"))
	migration, err := Migration("m", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, cfg.DSN).PgConn().Exec(t.Context(), itemsSQL+";"+migration).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return cluster, cfg
}

// TestServerKilledWhileOthersWrite kills the server with SIGKILL while writers and the listener are connected.
func TestServerKilledWhileOthersWrite(t *testing.T) {
	t.Parallel()
	cluster, cfg := serverOfItsOwn(t, nil)
	if err := cluster.Kill(); err != nil { // the server is down when the source starts
		t.Fatal(err)
	}
	b := &bundle{t: t, cfg: cfg, sink: newMemory()}
	source, _ := b.start()
	b.sink.until(t, "the trouble",
		func() bool { return strings.Contains(source.Health().Error, "cannot reach PostgreSQL at") })
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.ready()
	stop := make(chan struct{})
	writers := write(t, cfg.DSN, 3, 1e6, stop)
	for kill := range long(5, 50) {
		b.sink.until(t, "changes", func() bool { return len(b.sink.changes) > 100*(kill+1) })
		if err := cluster.Kill(); err != nil {
			t.Fatal(err)
		}
		b.sink.until(t, "the outage to be noticed", func() bool { return !source.Health().Up })
		if err := cluster.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.sink.until(t, "the source to be back", func() bool { return source.Health().Up })
	}
	close(stop)
	writers.Wait()
	b.sink.equalsTable(t, "m", cfg)
	if b.sink.full != 1+long(5, 50) { // once after each crash, because the last commits may be lost
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
	if h := source.Health(); h.LastEvent.IsZero() || h.Error != "" {
		t.Errorf("health %+v", h)
	}
}

// TestServerForgetsWhatItCommitted: the server crashes before the log of a commit is on disk, and assigns the same
// transaction id to another transaction, which changes an item more than once before the source is back.
func TestServerForgetsWhatItCommitted(t *testing.T) {
	t.Parallel()
	cluster, cfg := serverOfItsOwn(t, map[string]string{"wal_writer_delay": "10s"})
	b := &bundle{t: t, cfg: cfg, sink: newMemory(), conn: connect(t, cfg.DSN)}
	_, stop := b.start()
	b.ready()
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x'), (2, 'y')`)
	b.sink.until(t, "the items", func() bool { return len(b.sink.changes) == 2 })
	b.exec(`SET synchronous_commit = off`)
	b.exec(`UPDATE items SET category = 'gone' WHERE id = 1`)
	b.sink.until(t, "the change that will be gone", func() bool { return len(b.sink.changes) == 3 })
	for range 3 { // uses ids that the crash makes the server forget
		b.exec(`BEGIN`)
		b.exec(`UPDATE items SET category = 'never' WHERE id = 1`)
		b.exec(`ROLLBACK`)
	}
	lost := b.count(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.conn = connect(t, cfg.DSN)
	if again := b.count(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`); again >= lost {
		t.Fatalf("the server remembers %d transactions of %d", again, lost)
	}
	b.exec(`UPDATE items SET category = 'z' WHERE id = 2`)
	b.exec(`UPDATE items SET category = 'y' WHERE id = 2`)
	b.start()
	b.sink.equalsTable(t, "m", cfg)
	if now := b.sink.snapshot(); len(now) != 2 {
		t.Errorf("items: %v", now)
	}
}

// TestServerForgetsWhoWroteNothing: everything that was read still exists after a crash, although later ids are reused;
// the changes made before the source is back are read one by one.
func TestServerForgetsWhoWroteNothing(t *testing.T) {
	t.Parallel()
	cluster, cfg := serverOfItsOwn(t, map[string]string{"wal_writer_delay": "10s"})
	b := &bundle{t: t, cfg: cfg, sink: newMemory(), conn: connect(t, cfg.DSN)}
	_, stop := b.start()
	b.ready()
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'a')`)
	b.sink.until(t, "the item", func() bool { return len(b.sink.changes) == 1 })
	for range 20 {
		b.exec(`BEGIN`)
		b.exec(`UPDATE items SET category = 'never'`)
		b.exec(`ROLLBACK`)
	}
	b.exec(`SELECT pg_notify($1, '')`, channel("m")) // the position moves beyond these transactions
	next := b.count(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.conn = connect(t, cfg.DSN)
	if again := b.count(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`); again >= next {
		t.Fatalf("the server remembers %d transactions of %d", again, next)
	}
	for _, category := range []string{"b", "c", "d"} {
		b.exec(`UPDATE items SET category = $1`, category)
	}
	b.start()
	b.sink.until(t, "the table to be compared", func() bool { return b.sink.full == 2 })
	if n := len(b.sink.changes); n != 4 {
		t.Errorf("%d changes arrived: %+v", n, b.sink.changes)
	}
	b.sink.equalsTable(t, "m", cfg)
}

// crashing is a Sink that dies at random: before its transaction, or after it without returning success. Items and
// cursor are stored together or not at all, as in the daemon's store.
type crashing struct {
	*memory
	random *rand.Rand
	die    context.CancelFunc
}

func (c *crashing) Append(ctx context.Context, source string, changes []watch.Change, cursor string) error {
	switch c.random.IntN(12) {
	case 0:
		c.die()
		return errors.New("killed before the commit")
	case 1:
		c.die()
		return errors.Join(c.memory.Append(ctx, source, changes, cursor), errors.New("killed after the commit"))
	}
	return c.memory.Append(ctx, source, changes, cursor)
}

// TestDaemonKilledWhileOthersWrite stops the source at random points and restarts it.
func TestDaemonKilledWhileOthersWrite(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	stop := make(chan struct{})
	writers := write(t, b.cfg.DSN, 3, 1e6, stop)
	random := rand.New(rand.NewPCG(3, 4))
	for range long(20, 200) {
		ctx, cancel := context.WithCancel(t.Context())
		source, err := New("m", b.cfg, &crashing{memory: b.sink, random: random, die: cancel}, nil, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	close(stop)
	writers.Wait()
	b.start()
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}
