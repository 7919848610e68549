package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
)

// touched is the SQL for a trigger that keeps updated_at current, as an application must for capture: poll.
const touched = `
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();`

// lab is a cluster with logical decoding, so that all captures can be used.
type lab struct{ cluster *pgcluster.Cluster }

// newLab returns the lab that most tests share.
func newLab(t *testing.T) *lab {
	t.Helper()
	return &lab{pgtest.Decodable(t)}
}

// ownLab returns a lab with a separate server, for tests that change the server.
func ownLab(t *testing.T) *lab {
	t.Helper()
	return &lab{pgtest.Cluster(t, pgcluster.Options{Settings: pgtest.Logical()})}
}

// database creates a database and runs the SQL texts in it.
func (l *lab) database(t *testing.T, sql ...string) string {
	t.Helper()
	name := fmt.Sprintf("lab_%x", rand.Uint64())
	if _, err := connect(t, l.cluster.DSN("postgres")).Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	dsn := l.cluster.DSN(name)
	conn := connect(t, dsn)
	for _, text := range sql {
		if _, err := conn.PgConn().Exec(t.Context(), text).ReadAll(); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
	}
	return dsn
}

// setup creates a table, and installs what the capture needs to watch it.
func (l *lab) setup(t *testing.T, capture Capture, tableSQL string, configure func(dsn string) *Config) *bundle {
	t.Helper()
	return l.setups(t, []Capture{capture}, tableSQL, configure)[0]
}

// setups creates one table, and installs what several captures need to watch it at once.
func (l *lab) setups(t *testing.T, captures []Capture, tableSQL string,
	configure func(dsn string) *Config,
) (out []*bundle) {
	t.Helper()
	with := func(dsn string, capture Capture) *Config {
		cfg := configure(dsn)
		anyShare := unit.Percent(1)
		cfg.ShrinkGuard = &anyShare // many rows are deleted here
		if cfg.Capture = capture; capture == CapturePoll {
			cfg.Poll, cfg.Overlap, cfg.Compare = unit.Duration(40*time.Millisecond), unit.Duration(50*time.Millisecond),
				unit.Duration(500*time.Millisecond)
		}
		return cfg
	}
	sql := []string{tableSQL}
	for _, capture := range captures {
		migration, err := Migration("m", with("host=x", capture))
		if err != nil {
			t.Fatal(err)
		}
		sql = append(sql, migration)
	}
	dsn := l.database(t, sql...)
	conn := connect(t, dsn)
	for _, capture := range captures {
		out = append(out, &bundle{t: t, cfg: with(dsn, capture), sink: newMemory(), conn: conn})
	}
	return out
}

// conformance is a case of the suite: writes after which the sink must equal the table, with any capture.
type conformance struct {
	name    string
	table   string
	cfg     func(dsn string) *Config
	play    func(b *bundle)
	restart bool // the case is also run with restarts of the source
}

var conformances = []conformance{
	{name: "insert, label, text, delete", play: func(b *bundle) {
		b.exec(`INSERT INTO items VALUES (1, 'a', 'x', 'sport', now(), 'anna'), (2, 'b', NULL, NULL, now(), NULL)`)
		b.exec(`UPDATE items SET category = 'politik', updated_by = 'bert' WHERE id = 1`)
		b.exec(`UPDATE items SET title = 'bb' WHERE id = 2`)
		b.exec(`DELETE FROM items WHERE id = 1`)
		b.exec(`INSERT INTO items (id, title, category) VALUES (3, 'c', 'kultur')`)
	}},
	{name: "nothing relevant", play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'x' FROM generate_series(1, 50) g`)
		b.exec(`UPDATE items SET views = views + 1`)
		b.exec(`UPDATE items SET category = category`)
	}},
	{name: "truncate", restart: true, play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'x' FROM generate_series(1, 100) g`)
		b.exec(`BEGIN`)
		b.exec(`UPDATE items SET category = 'y' WHERE id = 5`)
		b.exec(`TRUNCATE items`)
		b.exec(`INSERT INTO items (id, title, category) VALUES (7, 't', 'z')`)
		b.exec(`COMMIT`)
		b.exec(`UPDATE items SET category = 'after'`)
	}},
	{name: "truncate that is rolled back", play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`)
		b.exec(`BEGIN`)
		b.exec(`TRUNCATE items`)
		b.exec(`ROLLBACK`)
		b.exec(`UPDATE items SET category = 'after'`)
	}},
	{name: "key change", restart: true, play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, category) SELECT g, 't' || g, 'x' || g FROM generate_series(1, 9) g`)
		b.exec(`UPDATE items SET id = id + 100 WHERE id <= 4`)
		b.exec(`UPDATE items SET id = 1, category = 'moved' WHERE id = 9`)
		b.exec(`DELETE FROM items WHERE id = 101`)
	}},
	{
		name: "composite key, targets by column and expression",
		table: `CREATE TABLE items (host text, "No" int, title text, content text, priority text, score numeric, tags text[], flags jsonb, kind char(6), updated_at timestamptz DEFAULT now(), PRIMARY KEY (host, "No"));` +
			touched,
		cfg: func(dsn string) *Config {
			return &Config{
				DSN: dsn, Table: "items", ID: unit.List{"host", "No"}, Text: unit.List{"title", "kind"},
				UpdatedAt: "updated_at", Targets: map[string]string{
					"priority": "priority", "relevant": "priority <> 'none'", "score": "score", "tags": "tags",
					"long": "length(title || content) > 10", "flag": "flags -> 'a'", "double": `"No" * 2`,
				},
			}
		},
		play: func(b *bundle) {
			b.exec(`INSERT INTO items VALUES ('a"b', 1, 't', 'c', 'high', 1.50, '{b,a,"x y"}', '{"a": [2, 1]}', 'ab', now()), ('ü', 2, NULL, NULL, NULL, 'NaN', NULL, '{"a": null}', NULL, now())`)
			b.exec(`UPDATE items SET priority = 'none' WHERE "No" = 1`)
			b.exec(`UPDATE items SET content = 'longer than ten' WHERE "No" = 1`)
			b.exec(`UPDATE items SET tags = '{}', flags = '{"a": true}', score = 2 WHERE "No" = 2`)
			b.exec(`UPDATE items SET kind = 'abc' WHERE "No" = 2`)
			b.exec(`INSERT INTO items SELECT 'h', g, 't', 'c', 'low', g, '{a}', '{}', 'k', now() FROM generate_series(3, 30) g`)
			b.exec(`DELETE FROM items WHERE "No" BETWEEN 5 AND 9`)
			b.exec(`UPDATE items SET "No" = 100 WHERE "No" = 10`)
		},
	},
	{
		name: "uuid key, enum label, generated column, type of another schema",
		table: `CREATE SCHEMA own; CREATE TYPE own.mood AS ENUM ('sad', 'glad'); CREATE TABLE items (id uuid PRIMARY KEY, title varchar(20), content text, mood own.mood, upper text GENERATED ALWAYS AS (upper(title)) STORED, updated_at timestamptz DEFAULT now());` +
			touched,
		cfg: func(dsn string) *Config {
			return &Config{
				DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title", "content"},
				UpdatedAt: "updated_at", Targets: map[string]string{"mood": "mood", "upper": "upper"},
			}
		},
		play: func(b *bundle) {
			b.exec(`INSERT INTO items SELECT md5(g::text)::uuid, 't' || g, 'c', 'sad' FROM generate_series(1, 20) g`)
			b.exec(`UPDATE items SET mood = 'glad' WHERE title < 't15'`)
			b.exec(`UPDATE items SET title = 'new' WHERE title = 't3'`)
			b.exec(`DELETE FROM items WHERE title = 't7'`)
		},
	},
	{name: "values out of line", play: func(b *bundle) {
		b.exec(`ALTER TABLE items ALTER content SET STORAGE EXTERNAL`)
		b.exec(`INSERT INTO items (id, title, content, category) SELECT g, 't', repeat(g::text, 4000), 'x' FROM generate_series(1, 20) g`)
		b.exec(`UPDATE items SET category = 'y' WHERE id <= 10`)
		b.exec(`UPDATE items SET title = 'tt' WHERE id <= 5`)
		b.exec(`UPDATE items SET category = 'z' WHERE id = 3`)
		b.exec(`DELETE FROM items WHERE id = 3`)
		b.exec(`UPDATE items SET content = repeat('n', 9000) WHERE id = 4`)
	}},
	{name: "label out of line", play: func(b *bundle) {
		b.exec(`ALTER TABLE items ALTER category SET STORAGE EXTERNAL`)
		b.exec(`INSERT INTO items (id, title, content, category) SELECT g, 't', 'c', repeat(g::text, 4000) FROM generate_series(1, 9) g`)
		b.exec(`UPDATE items SET title = 'other' WHERE id <= 5`)
		b.exec(`UPDATE items SET category = repeat('z', 5000) WHERE id = 3`)
		b.exec(`UPDATE items SET title = 'again' WHERE id = 3`)
		b.exec(`DELETE FROM items WHERE id = 2`)
	}},
	{name: "replica identity full", play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, content, category) SELECT g, 't', 'c', 'x' FROM generate_series(1, 9) g`)
		b.exec(`UPDATE items SET category = 'y' WHERE id < 4`)
		b.exec(`UPDATE items SET views = 9`)
		b.exec(`UPDATE items SET id = id + 50 WHERE id < 3`)
		b.exec(`DELETE FROM items WHERE id = 9`)
	}, table: itemsSQL + ";" + touched + "ALTER TABLE items REPLICA IDENTITY FULL"},
	{name: "one item in one transaction", restart: true, play: func(b *bundle) {
		b.exec(`BEGIN`)
		b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'a'), (2, 't', 'a')`)
		for i := range 50 {
			b.exec(`UPDATE items SET category = $1 WHERE id = 1`, fmt.Sprint("c", i%3))
		}
		b.exec(`SAVEPOINT s`)
		b.exec(`UPDATE items SET category = 'undone'`)
		b.exec(`ROLLBACK TO s`)
		b.exec(`UPDATE items SET category = 'sub' WHERE id = 2`)
		b.exec(`DELETE FROM items WHERE id = 1`)
		b.exec(`INSERT INTO items (id, title, category) VALUES (1, 'again', 'b')`)
		b.exec(`COMMIT`)
	}},
	{name: "a statement over many rows", restart: true, play: func(b *bundle) {
		b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 7000) g`)
		b.exec(`UPDATE items SET category = 'd' || id % 7`)
		b.exec(`DELETE FROM items WHERE id % 3 = 0`)
	}},
	{
		name: "partitions",
		table: `CREATE TABLE items (id int, title text, content text, category text, updated_at timestamptz DEFAULT now(), updated_by text, views int DEFAULT 0, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (10); CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (10) TO (1000);` +
			touched,
		play: func(b *bundle) {
			b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 30) g`)
			b.exec(`UPDATE items SET category = 'd' WHERE id > 5`)
			b.exec(`UPDATE items SET id = 15 + 100 WHERE id = 3`)
			b.exec(`TRUNCATE items_2`)
			b.exec(`CREATE TABLE items_3 (LIKE items INCLUDING ALL)`)
			b.exec(`INSERT INTO items_3 (id, title, category) VALUES (2000, 'came', 'along')`)
			b.exec(`ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES FROM (1000) TO (3000)`)
			b.exec(`UPDATE items SET category = 'in' WHERE id = 2000`)
		},
	},
}

// TestConformance runs each case with all captures on the same table, once while the sources follow and once with
// restarts at random times. At the end each sink equals the table, and no repeated or contradictory change has arrived.
func TestConformance(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, c := range conformances {
		for _, restarts := range []bool{false, true} {
			if restarts && !c.restart {
				continue
			}
			t.Run(fmt.Sprintf("%s/restarts=%v", strings.ReplaceAll(c.name, " ", "_"), restarts), func(t *testing.T) {
				t.Parallel()
				table, cfg := c.table, c.cfg
				if table == "" {
					table = itemsSQL + ";" + touched
				}
				if cfg == nil {
					cfg = itemsConfig
				}
				bundles := l.setups(t, captures, table, cfg)
				var group sync.WaitGroup
				for _, b := range bundles {
					if b.cfg.Capture == CaptureLogical {
						b.cfg.Poll = unit.Duration(50 * time.Millisecond) // partitions are checked this often
					}
					_, stop := b.start()
					b.ready()
					if !restarts {
						continue
					}
					group.Go(func() {
						random := rand.New(rand.NewPCG(1, 1))
						for range 6 {
							<-time.After(time.Duration(random.IntN(30)) * time.Millisecond)
							stop()
							_, stop = b.start()
						}
					})
				}
				c.play(bundles[0])
				group.Wait()
				for _, b := range bundles {
					b.sink.equalsTable(t, "m", b.cfg)
				}
			})
		}
	}
}

// TestSequence pins the changes that each capture reports for one sequence of statements, in order.
func TestSequence(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, capture := range captures {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, capture, itemsSQL+";"+touched, itemsConfig)
			b.cfg.Compare = 0
			_, stop := b.start()
			b.ready()
			b.exec(`INSERT INTO items (id, title, category) VALUES (1, 'a', 'sport')`)
			b.sink.until(t, "the insert", func() bool { return len(b.sink.items) == 1 })
			b.exec(`UPDATE items SET category = 'politik', updated_by = 'bert'`)
			b.sink.until(t, "the label", func() bool { return b.sink.items["1"].Labels["label"] == "politik" })
			b.exec(`UPDATE items SET title = 'b', updated_by = 'retraind:run'`)
			b.sink.until(t, "the text", func() bool { return b.sink.items["1"].Text["title"] == "b" })
			if capture != CapturePoll {
				b.exec(`DELETE FROM items`)
				b.sink.until(t, "the delete", func() bool { return len(b.sink.items) == 0 })
			}
			stop()
			var got []string
			for _, c := range b.sink.log() {
				got = append(got, fmt.Sprintf("%s %s %v by %q %q", c.Op, c.Item, c.New, c.Author, c.Origin))
				if age := time.Since(c.At); age < 0 || age > time.Minute {
					t.Errorf("change %s is %v old", c.Key, age)
				}
			}
			want := map[Capture][]string{
				CaptureOutbox: {
					`put 1 map[label:sport] by "postgres" ""`, `label 1 map[label:politik] by "bert" ""`,
					`put 1 map[label:politik] by "retraind:run" ""`, `delete 1 map[] by "postgres" ""`,
				},
				CaptureLogical: {
					`put 1 map[label:sport] by "" ""`, `put 1 map[label:politik] by "bert" ""`,
					`put 1 map[label:politik] by "retraind:run" "retraind:run"`, `delete 1 map[] by "" ""`,
				},
				CapturePoll: {
					`put 1 map[label:sport] by "" ""`, `put 1 map[label:politik] by "bert" ""`,
					`put 1 map[label:politik] by "retraind:run" "retraind:run"`,
				},
			}[capture]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
