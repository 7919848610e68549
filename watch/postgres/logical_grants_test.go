package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/pgtest"
)

// TestLeastPrivilegeOfCaptures follows a table as the granted role, and checks what that role may not do.
func TestLeastPrivilegeOfCaptures(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, capture := range []Capture{CaptureLogical, CapturePoll} {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			expression := func(dsn string) *Config {
				cfg := itemsConfig(dsn)
				cfg.Label, cfg.Targets = "", map[string]string{"label": "category", "long": "length(content) > 3 AND views = 0"}
				return cfg
			}
			b := l.setup(t, capture, itemsSQL+";"+touched+
				"; ALTER TABLE items ADD secret text; CREATE TABLE other (id int); REVOKE CREATE ON SCHEMA public FROM PUBLIC",
				expression)
			role := fmt.Sprintf("poor_%x", rand.Uint32())
			grants, err := Grants("m", b.cfg, role)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.conn.PgConn().Exec(t.Context(), grants).ReadAll(); err != nil {
				t.Fatalf("%v in:\n%s", err, grants)
			}
			b.exec(`INSERT INTO items (id, title, content, category) SELECT g, 't', 'long', 'x' FROM generate_series(1, 9) g`)
			b.cfg.DSN = strings.Replace(b.cfg.DSN, "user=postgres", "user="+role, 1)
			if said := render(Check(t.Context(), "m", b.cfg)); strings.Contains(said, "may not") {
				t.Errorf("the check misses rights:\n%s", said)
			}
			_, stop := b.start()
			b.ready()
			b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
			b.exec(`DELETE FROM items WHERE id = 2`)
			b.sink.equalsTable(t, "m", b.cfg)
			stop()
			if capture == CaptureLogical { // the role may create the slot again
				b.sink.until(t, "the slot to be free", func() bool {
					return b.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND active`) == 0
				})
				b.exec(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`)
				b.start()
				b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
			}
			conn := connect(t, b.cfg.DSN)
			for _, sql := range []string{
				`SELECT secret FROM public.items`, `SELECT * FROM public.items`, `SELECT * FROM public.other`,
				`UPDATE public.items SET category = 'z'`, `DELETE FROM public.items`, `TRUNCATE public.items`,
				`CREATE TABLE public.mine (id int)`, `ALTER TABLE public.items ADD x int`, `CREATE ROLE x`,
				`DROP PUBLICATION retraind_m`, `SELECT pg_read_file('/etc/passwd')`,
			} {
				tx, err := conn.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err = tx.Exec(t.Context(), "SET TRANSACTION READ WRITE"); err != nil {
					t.Fatal(err)
				}
				if _, err = tx.Exec(t.Context(), sql); err == nil {
					t.Errorf("the role may: %s", sql)
				} else if !strings.Contains(err.Error(), "42501") && !strings.Contains(err.Error(), "42704") {
					t.Errorf("%s: %v", sql, err)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestMessagesOfCaptures pins the messages of Check for faults of the other captures.
func TestMessagesOfCaptures(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var out strings.Builder
	for _, c := range []struct {
		name    string
		capture Capture
		spoil   string
		config  func(*Config)
	}{
		{"logical", CaptureLogical, "", nil},
		{"no publication", CaptureLogical, "DROP PUBLICATION retraind_m", nil},
		{"table not published", CaptureLogical, "ALTER PUBLICATION retraind_m DROP TABLE items", nil},
		{"column not published", CaptureLogical, "ALTER PUBLICATION retraind_m SET TABLE items (id, category)", nil},
		{
			"expression not published", CaptureLogical, "",
			func(c *Config) { *c = *c.WithTargets(map[string]string{"old": "views > 3"}) },
		},
		{"deletes not published", CaptureLogical, "ALTER PUBLICATION retraind_m SET (publish = 'insert, update')", nil},
		{"rows not published", CaptureLogical, "ALTER PUBLICATION retraind_m SET TABLE items WHERE (id > 3)", nil},
		{"no identity", CaptureLogical, "ALTER TABLE items DROP CONSTRAINT items_pkey", nil},
		{"identity of nothing", CaptureLogical, "ALTER TABLE items REPLICA IDENTITY NOTHING", nil},
		{"unlogged", CaptureLogical, "DROP PUBLICATION retraind_m; ALTER TABLE items SET UNLOGGED", nil},
		{"view", CaptureLogical, "CREATE VIEW v AS SELECT * FROM items", func(c *Config) { c.Table = "v" }},
		{
			"no right to replicate", CaptureLogical, "CREATE ROLE messages_norep LOGIN; GRANT SELECT ON items TO messages_norep",
			func(c *Config) { c.DSN = strings.Replace(c.DSN, "user=postgres", "user=messages_norep", 1) },
		},
		{"poll", CapturePoll, "", nil},
		{
			"poll of an indexed column", CapturePoll,
			"CREATE INDEX ON items (updated_at); UPDATE items SET updated_at = now(); ALTER TABLE items ALTER updated_at SET NOT NULL",
			nil,
		},
		{"poll of a text", CapturePoll, "", func(c *Config) { c.Watermark = "title" }},
		{"poll of nothing", CapturePoll, "", func(c *Config) { c.Watermark = "changed" }},
	} {
		b := l.setup(t, c.capture, itemsSQL, itemsConfig)
		if c.spoil != "" {
			if _, err := b.conn.PgConn().Exec(t.Context(), c.spoil).ReadAll(); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if c.config != nil {
			c.config(b.cfg)
		}
		said := strings.ReplaceAll(render(Check(t.Context(), "m", b.cfg)), pgtest.Decodable(t).Dir(), "SOCKETDIR")
		fmt.Fprintf(&out, "## %s\n%s\n", c.name, said)
	}
	// A server without logical decoding.
	dsn := pgtest.Database(t, itemsSQL)
	cfg := itemsConfig(dsn)
	cfg.Capture = CaptureLogical
	fmt.Fprintf(&out, "## wal_level\n%s\n", render(Check(t.Context(), "m", cfg)))
	migration, err := Migration("m", cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = connect(t, dsn).PgConn().Exec(t.Context(), migration).ReadAll()
	fmt.Fprintf(&out, "the migration: %v\n\n", err)
	// Tables that the migration refuses, because otherwise the server would refuse their writers.
	for name, table := range map[string]string{
		"no primary key": `CREATE TABLE items (id int, title text, content text, category text, updated_at timestamptz, updated_by text)`,
		"unlogged table": strings.Replace(itemsSQL, "CREATE TABLE", "CREATE UNLOGGED TABLE", 1),
	} {
		_, err = connect(t, l.database(t, table)).PgConn().Exec(t.Context(), migration).ReadAll()
		if err == nil {
			t.Errorf("%s: the migration takes the table", name)
		}
		if name == "no primary key" {
			fmt.Fprintf(&out, "## %s\nthe migration: %v\n", name, err)
		}
	}
	golden(t, "messages-captures.txt", out.String())
}

// TestDownRemovesEverything: the SQL of Down removes everything that the SQL of Migration has created, even if that was
// run twice. It fails while the slot is in use.
func TestDownRemovesEverything(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	migration, err := Migration("m", b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.conn.PgConn().Exec(t.Context(), migration).ReadAll(); err != nil {
		t.Fatal(err)
	}
	down, err := Down("m", b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	source, stop := b.start()
	b.sink.until(t, "the stream", func() bool { return source.Health().Up })
	if _, err := b.conn.PgConn().Exec(t.Context(), down).ReadAll(); err == nil ||
		!strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a slot that is read was taken away: %v", err)
	}
	stop()
	b.sink.until(t, "the slot to be free", func() bool {
		return b.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND active`) == 0
	})
	if _, err := b.conn.PgConn().Exec(t.Context(), down).ReadAll(); err != nil {
		t.Fatal(err)
	}
	n := b.count(`SELECT (SELECT count(*) FROM pg_publication) +
		(SELECT count(*) FROM pg_replication_slots WHERE database = current_database())`)
	if n != 0 {
		t.Errorf("%d things are left", n)
	}
}
