package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

// shapes are tables that a source must support, each with statements that change labels.
var shapes = map[string]struct {
	table  string
	cfg    Config
	writes []string
	want   map[string]watch.Labels
}{
	"composite key": {
		table: `CREATE TABLE items (site text, no int, txt text, cat text, PRIMARY KEY (site, no))`,
		cfg:   Config{Table: "items", ID: unit.List{"site", "no"}, Text: unit.List{"txt"}, Label: "cat"},
		writes: []string{
			`INSERT INTO items VALUES ('a"b', 1, 't', 'x'), ('c', 2, 't', 'y')`,
			`UPDATE items SET cat = 'z' WHERE no = 2`, `UPDATE items SET no = 3 WHERE no = 2`,
		},
		want: map[string]watch.Labels{`["a\"b", 1]`: {"label": "x"}, `["c", 3]`: {"label": "z"}},
	},
	"uuid key": {
		table: `CREATE TABLE items (id uuid PRIMARY KEY, txt text, cat text)`,
		cfg:   Config{Table: "items", ID: unit.List{"id"}, Text: unit.List{"txt"}, Label: "cat"},
		writes: []string{
			`INSERT INTO items VALUES ('00000000-0000-0000-0000-00000000000a', 't', 'x')`,
			`UPDATE items SET txt = 'u'`,
		},
		want: map[string]watch.Labels{`00000000-0000-0000-0000-00000000000a`: {"label": "x"}},
	},
	"odd names": {
		table: `CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."Select.""Me""" ("ID" int PRIMARY KEY, "user" text, "Änderung" text, found text, "a'b" text)`,
		cfg: Config{
			Table: `"My Schema"."Select.""Me"""`, ID: unit.List{"ID"}, Text: unit.List{"user", "a'b"}, Author: "Änderung",
			Targets: map[string]string{"it's": "found", `b\s`: `"user" || '\'`},
		},
		writes: []string{
			`INSERT INTO "My Schema"."Select.""Me""" VALUES (1, 'u', 'anna', 'f', 'q')`,
			`UPDATE "My Schema"."Select.""Me""" SET found = 'g'`,
		},
		want: map[string]watch.Labels{"1": {"it's": "g", `b\s`: `u\`}},
	},
	"long names": {
		table: `CREATE TABLE ` + strings.Repeat("t", 63) + ` (` + strings.Repeat("i",
			63) + ` bigint PRIMARY KEY, txt text, cat text)`,
		cfg: Config{
			Table: strings.Repeat("t", 63), ID: unit.List{strings.Repeat("i", 63)}, Text: unit.List{"txt"},
			Label: "cat",
		},
		writes: []string{`INSERT INTO ` + strings.Repeat("t", 63) + ` VALUES (9007199254740993, 't', 'x')`},
		want:   map[string]watch.Labels{"9007199254740993": {"label": "x"}},
	},
	"label types": {
		table: `CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE items (id int PRIMARY KEY, txt text, flag bool, n numeric, tags text[], doc json, m mood, nothing text)`,
		cfg: Config{Table: "items", ID: unit.List{"id"}, Text: unit.List{"txt"}, Targets: map[string]string{
			"flag": "flag", "n": "n", "tags": "tags", "doc": "doc", "m": "m", "nothing": "nothing", "relevant": "m <> 'bad'",
		}},
		writes: []string{
			`INSERT INTO items VALUES (1, 't', true, 1.50, '{}', '["b", "a", "b", null, 1]', 'ok')`,
			`UPDATE items SET tags = '{z,"a b"}', m = 'bad'`,
		},
		want: map[string]watch.Labels{"1": {
			"flag": "true", "n": "1.50", "tags": `["a b","z"]`, "doc": `["1","a","b"]`,
			"m": "bad", "relevant": "false",
		}},
	},
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, shape.table, func(dsn string) *Config {
				cfg := shape.cfg
				cfg.DSN = dsn
				return &cfg
			})
			if found := Check(t.Context(), "m", b.cfg); len(found) > 0 {
				t.Fatalf("%v", found)
			}
			b.start()
			b.ready()
			for _, sql := range shape.writes {
				b.exec(sql)
			}
			b.sink.equalsTable(t, "m", b.cfg)
			got := map[string]watch.Labels{}
			for id, item := range b.sink.snapshot() {
				got[id] = item.Labels
			}
			if diff := cmp.Diff(shape.want, got); diff != "" {
				t.Error(diff)
			}
			if b.sink.full != 1 || len(b.sink.log()) == 0 {
				t.Errorf("%d whole reads, %d changes", b.sink.full, len(b.sink.log()))
			}
		})
	}
}

// TestLeastPrivilege checks that the GRANT script suffices to follow, and what it denies.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	cfg := itemsConfig("host=x").WithTargets(map[string]string{"cat": "category", "seen": "views > 0 AND 'secret' <> ''"})
	migration, err := Migration("m", cfg)
	if err != nil {
		t.Fatal(err)
	}
	dsn := pgtest.Database(t, `CREATE TABLE public.items (id int PRIMARY KEY, title text, content text, category text, updated_at timestamptz DEFAULT now(), updated_by text, views int DEFAULT 0, secret text)`,
		migration)
	role := `Retraind "r"`
	grants, err := Grants("m", cfg, role)
	if err != nil {
		t.Fatal(err)
	}
	admin := connect(t, dsn)
	for range 2 { // it can be run again
		if _, err := admin.PgConn().Exec(t.Context(), grants).ReadAll(); err != nil {
			t.Fatalf("%v\n%s", err, grants)
		}
	}
	cfg.DSN = strings.Replace(dsn, "user=postgres", `user='Retraind "r"'`, 1)
	b := &bundle{t: t, cfg: cfg, sink: newMemory(), conn: admin}
	if found := Check(t.Context(), "m", cfg); len(found) > 0 {
		t.Fatalf("%v", found)
	}
	b.start()
	b.ready()
	b.exec(`INSERT INTO items (id, category, secret) VALUES (1, 'x', 's')`)
	b.exec(`UPDATE items SET views = 7`)
	b.sink.until(t, "two changes", func() bool { return len(b.sink.changes) == 2 })
	b.sink.equalsTable(t, "m", cfg)
	poor := connect(t, cfg.DSN)
	if _, err := poor.Exec(t.Context(), `SET default_transaction_read_only = off`); err != nil {
		t.Fatal(err)
	}
	if _, err := poor.Exec(t.Context(), `SELECT retraind.m_prune('1'::xid8, now())`); err != nil {
		t.Errorf("pruning: %v", err)
	}
	for _, sql := range []string{
		`SELECT secret FROM public.items`, `SELECT * FROM public.items`, `UPDATE public.items SET category = 'y'`,
		`INSERT INTO public.items VALUES (2)`,
		`DELETE FROM public.items`, `DELETE FROM retraind.m_outbox`, `TRUNCATE retraind.m_outbox`,
		`INSERT INTO retraind.m_outbox (op) VALUES ('x')`,
		`UPDATE retraind.sources SET definition = ''`, `CREATE TABLE public.mine (a int)`,
		`CREATE FUNCTION retraind.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`SELECT pg_read_file('/etc/passwd')`, `COPY (SELECT 1) TO PROGRAM 'true'`,
		`ALTER TABLE public.items DISABLE TRIGGER ALL`, `CREATE ROLE other`,
	} {
		_, err := poor.Exec(t.Context(), sql)
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want it denied", sql, err)
		}
	}
}
