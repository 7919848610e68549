package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

func TestCapture(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{
			`INSERT INTO items VALUES (1, 'a', 'x', 'sport', now(), 'anna'), (2, 'b', 'y', NULL, now(), NULL)`,
			[]string{`insert 1 -> {"label": "sport"} text by anna `, `insert 2 -> {"label": null} text by postgres `},
		},
		{`INSERT INTO items SELECT * FROM items WHERE false`, nil},
		{
			`UPDATE items SET category = 'politik', updated_by = 'bert' WHERE id = 1`,
			[]string{`update 1 {"label": "sport"} -> {"label": "politik"} by bert `},
		},
		{
			`UPDATE items SET title = 'aa', updated_by = 'carl' WHERE id = 1`,
			[]string{`update 1 {"label": "politik"} -> {"label": "politik"} text by carl `},
		},
		{`UPDATE items SET views = views + 1, updated_at = now(), updated_by = 'nobody'`, nil},
		{`UPDATE items SET category = category, title = title`, nil},
		{
			`UPDATE items SET category = NULL, content = NULL WHERE id = 1`,
			[]string{`update 1 {"label": "politik"} -> {"label": null} text by postgres `},
		},
		{ // the author column keeps its value, but this statement has set it
			`UPDATE items SET category = 'again', updated_by = 'nobody' WHERE id = 1`,
			[]string{`update 1 {"label": null} -> {"label": "again"} by nobody `},
		},
		{
			`UPDATE items SET category = NULL WHERE id = 1`,
			[]string{`update 1 {"label": "again"} -> {"label": null} by postgres `},
		},
		{
			`SET session_replication_role = replica; UPDATE items SET category = 'loaded' WHERE id = 1; UPDATE items SET category = NULL WHERE id = 1; RESET session_replication_role`,
			[]string{
				`update 1 {"label": null} -> {"label": "loaded"} by postgres `,
				`update 1 {"label": "loaded"} -> {"label": null} by postgres `,
			},
		},
		{
			`UPDATE items SET id = 3 WHERE id = 1`,
			[]string{`delete 1 {"label": null} -> by postgres `, `insert 3 -> {"label": null} text by postgres `},
		},
		{
			`INSERT INTO items (id, category) VALUES (2, 'z'), (4, 'w') ON CONFLICT (id) DO UPDATE SET category = excluded.category`,
			[]string{`update 2 {"label": null} -> {"label": "z"} by postgres `, `insert 4 -> {"label": "w"} text by postgres `},
		},
		{
			`BEGIN; SET LOCAL retraind.author = 'reviewer'; SET LOCAL retraind.origin = 'retraind:r_7'; UPDATE items SET category = 'q' WHERE id = 2; COMMIT`,
			[]string{`update 2 {"label": "z"} -> {"label": "q"} by reviewer retraind:r_7`},
		},
		{
			`SET application_name = 'retraind:r_8'; DELETE FROM items WHERE id IN (2, 4); SET application_name = 'psql'`,
			[]string{
				`delete 2 {"label": "q"} -> by postgres retraind:r_8`,
				`delete 4 {"label": "w"} -> by postgres retraind:r_8`,
			},
		},
		{`DELETE FROM items WHERE id = 99`, nil},
		{`BEGIN; UPDATE items SET category = 'gone'; ROLLBACK`, nil},
		{`TRUNCATE items`, []string{`truncate -> by postgres `}},
	} {
		b.exec(`DELETE FROM retraind.m_outbox`)
		if _, err := b.conn.PgConn().Exec(t.Context(), c.sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		got := b.outbox()
		if diff := cmp.Diff(sorted(c.want), sorted(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.sql, diff)
		}
	}
}

func TestMigrationRunsAgainAndIsUndone(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'a')`)
	for _, text := range []func(string, *Config) (string, error){Migration, Migration, Down, Down2, Migration} {
		sql, err := text("m", b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	b.exec(`UPDATE items SET category = 'b'`)
	if diff := cmp.Diff([]string{`update 1 {"label": "a"} -> {"label": "b"} by postgres `}, b.outbox()); diff != "" {
		t.Error(diff)
	}
}

// Down2 returns SQL that fails if Down has left the schema retraind or a trigger of retraind.
func Down2(string, *Config) (string, error) {
	return `DO $$ BEGIN
		IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'retraind') THEN RAISE 'the schema is still there'; END IF;
		IF EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE 'retraind%') THEN RAISE 'a trigger is still there'; END IF;
	END $$`, nil
}

func TestTwoModelsOfOneTable(t *testing.T) {
	t.Parallel()
	first := itemsConfig("host=x")
	second := itemsConfig("host=x").WithTargets(map[string]string{"top": "views > 10", "cat": "category"})
	a, err := Migration("a", first)
	if err != nil {
		t.Fatal(err)
	}
	z, err := Migration("z", second)
	if err != nil {
		t.Fatal(err)
	}
	dsn := pgtest.Database(t, itemsSQL, a, z)
	b := &bundle{t: t, conn: connect(t, dsn)}
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.exec(`UPDATE items SET views = 11`) // changes a label of z only
	b.exec(`UPDATE items SET views = 12`) // changes no label
	if diff := cmp.Diff([]string{`insert 1 -> {"label": "x"} text by postgres `}, b.outboxOf("a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		`insert 1 -> {"cat": "x", "top": false} text by postgres `,
		`update 1 {"cat": "x", "top": false} -> {"cat": "x", "top": true} by postgres `,
	}, b.outboxOf("z")); diff != "" {
		t.Error(diff)
	}
	down, err := Down("a", first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.conn.PgConn().Exec(t.Context(), down).ReadAll(); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE items SET category = 'y'`)
	if got := b.outboxOf("z"); len(got) != 3 {
		t.Errorf("after a was removed the outbox of z has %q", got)
	}
}

func TestABrokenExpressionIsRefusedByTheMigration(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	for _, expression := range []string{"no_such + 1", "upper(category, 1)", "category::int"} {
		sql, err := Migration("m", b.cfg.WithTargets(map[string]string{"t": expression}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll(); err == nil {
			t.Errorf("%s was installed", expression)
		}
		b.exec(`ROLLBACK`)
	}
	b.exec(`UPDATE items SET category = 'still works'`)
}

// TestHostileSearchPath: the update trigger runs as its owner without a pinned search_path, so none of its names may be
// resolved through the writer's search_path.
func TestHostileSearchPath(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config { return itemsConfig(dsn) })
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'a')`)
	b.exec(`CREATE SCHEMA evil; CREATE DOMAIN evil.text AS int; CREATE DOMAIN evil.regclass AS int; CREATE DOMAIN evil.jsonb AS int`)
	for _, name := range []string{
		"current_setting(pg_catalog.text, bool)",
		"jsonb_build_object(VARIADIC pg_catalog.text[])", "currval(pg_catalog.regclass)",
		"pg_notify(pg_catalog.text, pg_catalog.text)", "pg_try_advisory_lock_shared(int, int)",
		"pg_advisory_unlock_shared(int, int)",
	} {
		b.exec(`CREATE FUNCTION evil.` + name + ` RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$`)
	}
	for operator, operand := range map[string]string{"=": "pg_catalog.text", "<>": "pg_catalog.text", "%": "bigint"} {
		b.exec(`CREATE OR REPLACE FUNCTION evil.boom(` + operand + `, ` + operand +
			`) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$`)
		b.exec(`CREATE OPERATOR evil.` + operator + ` (FUNCTION = evil.boom, LEFTARG = ` + operand + `, RIGHTARG = ` +
			operand + `)`)
	}
	writer := connect(t, b.cfg.DSN)
	for _, sql := range []string{
		`SET search_path = evil, pg_catalog, public`, `UPDATE public.items SET category = 'b'`,
		`UPDATE public.items SET title = 'u'`,
		`UPDATE public.items SET updated_by = 'anna', category = 'c'`, `UPDATE public.items SET id = 2`,
	} {
		if _, err := writer.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if got := len(b.outbox()); got != 6 {
		t.Errorf("%d rows were recorded", got)
	}
	if _, err := writer.Exec(t.Context(), `SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text`); err == nil {
		t.Error("the path is not hostile")
	}
}

// TestAnExpressionThatFailsLater: if a label expression fails for a row, the application's write succeeds and the
// source reports the error. Once the row is corrected, no change is missing.
func TestAnExpressionThatFailsLater(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Label, cfg.Targets = "", map[string]string{"rate": "10 / views", "cat": "category"}
		return cfg
	})
	b.exec(`INSERT INTO items (id, category, views) VALUES (1, 'a', 2)`)
	source, _ := b.start()
	b.ready()
	b.exec(`UPDATE items SET views = 0`)
	b.exec(`UPDATE items SET category = 'b'`)
	b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, "division by zero") })
	b.exec(`UPDATE items SET views = 5`)
	source.Retry()
	b.sink.until(t, "the labels",
		func() bool { return same(b.sink.items["1"].Labels, watch.Labels{"rate": "2", "cat": "b"}) })
	b.sink.equalsTable(t, "m", b.cfg)
}

// With a label expression, a statement over many rows takes a few transaction ids, not one for each row, even on a
// partitioned table, whose triggers run for each row.
func TestExpressionsTakeNoTransactionIDs(t *testing.T) {
	t.Parallel()
	const rows = 500
	for name, partitions := range map[string]string{
		"plain":       "",
		"partitioned": " PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF items DEFAULT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, "CREATE TABLE items (id int PRIMARY KEY, title text, views int)"+partitions,
				func(dsn string) *Config {
					return &Config{
						DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title"},
						Targets: map[string]string{"rate": "views % 3"},
					}
				})
			b.start()
			b.ready()
			next := func() int {
				return b.count(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
			}
			for _, statement := range []string{
				`INSERT INTO items SELECT i, 'a', i FROM generate_series(1, 500) AS i`,
				`UPDATE items SET views = views + 1`, `UPDATE items SET id = id + 1000`, `DELETE FROM items`,
			} {
				before := next()
				b.exec(statement)
				if used := next() - before; used > rows/10 {
					t.Errorf("%s took %d transaction ids", statement, used)
				}
				b.sink.equalsTable(t, "m", b.cfg)
			}
		})
	}
}
