package postgres

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/unit"
)

const moodsSQL = `CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN tone AS mood;
	CREATE FUNCTION named(v int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'old ' || v $$;
	CREATE FUNCTION outer_named(v int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.named(v); END $$;
	CREATE TABLE items (id int PRIMARY KEY, title text, mood mood, tone tone[], views int, long text,
		updated_at timestamptz DEFAULT now());`

const renameNamed = `CREATE OR REPLACE FUNCTION named(v int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'new ' || v $$`

// TestLabelsThatChangeWithoutARow: a label also depends on its type, its functions and its generated columns.
func TestLabelsThatChangeWithoutARow(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, c := range map[string]struct{ label, change, want string }{
		"enum":                       {"mood", `ALTER TYPE mood RENAME VALUE 'good' TO 'fine'`, "fine"},
		"enum in a domain's array":   {"tone", `ALTER TYPE mood RENAME VALUE 'bad' TO 'poor'`, `["poor"]`},
		"enum in an expression":      {"coalesce(mood, 'bad')", `ALTER TYPE mood RENAME VALUE 'good' TO 'fine'`, "fine"},
		"function":                   {"public.named(views)", renameNamed, "new 7"},
		"function behind a function": {"public.outer_named(views)", renameNamed, "new 7"},
		"collation":                  {"(long > 'B')", `ALTER TABLE items ALTER long TYPE text COLLATE "C"`, "true"},
	} {
		for _, capture := range captures {
			if name == "collation" && capture != CapturePoll {
				continue // PostgreSQL refuses this change while the triggers or the publication exist
			}
			t.Run(name+", "+string(capture), func(t *testing.T) {
				t.Parallel()
				b := l.setup(t, capture, moodsSQL, func(dsn string) *Config {
					return &Config{
						DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title"}, Label: c.label,
						UpdatedAt: "updated_at", Poll: unit.Duration(50e6),
					}
				})
				if capture == CapturePoll {
					b.cfg.Compare = unit.Duration(3600e9)
				}
				b.exec(`INSERT INTO items VALUES (1, 't', 'good', '{bad}', 7, 'a')`)
				source, _ := b.start()
				b.ready()
				b.exec(c.change)
				b.sink.until(t, "the whole table", func() bool { return b.sink.full == 2 })
				if got := b.sink.snapshot()["1"].Labels["label"]; got != c.want {
					t.Errorf("the label is %q, want %q", got, c.want)
				}
				b.sink.until(t, "the notice", func() bool { return strings.Contains(source.Health().Notice, meaningChanged) })
				b.sink.equalsTable(t, "m", b.cfg)
			})
		}
	}
}

// TestWhatChangesNoLabelReadsNothing: changes of other objects of the database do not change the digest, so they cause
// no full read.
func TestWhatChangesNoLabelReadsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL+`; CREATE TYPE other AS ENUM ('a')`, itemsConfig)
	s, err := newSchema("m", b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	digest := func() (text string) {
		if err := b.conn.QueryRow(t.Context(), "SELECT "+s.meaning()).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := digest()
	for _, sql := range []string{
		`ALTER TYPE other RENAME VALUE 'a' TO 'b'`, `ALTER TABLE items ADD more other`,
		`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `INSERT INTO items (id, category) VALUES (1, 'x')`,
		`ANALYZE items`, `VACUUM FULL items`, `CREATE INDEX ON items (category)`,
	} {
		if b.exec(sql); digest() != before {
			t.Errorf("%s changes the digest", sql)
		}
	}
	b.exec(`ALTER TABLE items ALTER views TYPE bigint`)
	if digest() != before {
		t.Error("a column that is not read changes the digest")
	}
}

// TestExpressionsThatReadElsewhere: check lists expressions that read other data than the row, because that data is not
// monitored.
func TestExpressionsThatReadElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL+`; CREATE FUNCTION public.looked_up(v text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT v $$`,
		func(dsn string) *Config {
			cfg := itemsConfig(dsn)
			cfg.Label = "public.looked_up(category)"
			return cfg
		})
	if said := render(Check(t.Context(), "m", b.cfg)); !strings.Contains(said, "label expressions call looked_up") {
		t.Errorf("check says\n%s", said)
	}
}
