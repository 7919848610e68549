package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
)

// small bounds the outbox to the smallest number of rows that Validate accepts.
func small(dsn string) *Config {
	cfg := itemsConfig(dsn)
	cfg.Outbox = Outbox{Rows: 10 * boundEvery}
	return cfg
}

// TestOutboxStaysSmallWhileNobodyReads writes several times more rows than the outbox may contain, and then reads.
// Nothing is missing, because a marker row causes a whole-table read.
func TestOutboxStaysSmallWhileNobodyReads(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, small)
	_, stop := b.start()
	b.ready()
	stop()
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 5000) g`)
	for i := range 12 {
		b.exec(`UPDATE items SET category = $1`, fmt.Sprint("c", i))
		if n, limit := b.count(`SELECT count(*) FROM retraind.m_outbox`), 10*boundEvery+2*boundSlice; n > limit {
			t.Fatalf("%d rows after statement %d, want at most %d", n, i, limit)
		}
	}
	if n := b.count(`SELECT count(*) FROM retraind.m_outbox WHERE op = 'reread'`); n == 0 {
		t.Error("no row marks that others were dropped")
	}
	source, _ := b.start()
	b.sink.until(t, "the second whole table", func() bool { return b.sink.full >= 2 })
	b.sink.equalsTable(t, "m", b.cfg)
	if h := source.Health(); !strings.Contains(h.Notice, "the outbox was full") {
		t.Errorf("health %+v", h)
	}
	b.exec(`UPDATE items SET category = 'after' WHERE id = 1`)
	b.sink.equalsTable(t, "m", b.cfg)
}

func TestOldRowsGo(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.exec(`UPDATE retraind.m_outbox SET at = now() - interval '8 days'`)
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(2, 1030) g`)
	if n := b.count(`SELECT count(*) FROM retraind.m_outbox WHERE item = '1'`); n != 0 {
		t.Error("the row of last week is still there")
	}
}

// TestWritersDoNotWaitForEachOther: a writer that has found the outbox full keeps its transaction open. Another writer
// that finds it full is not blocked.
func TestWritersDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, small)
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(1, 30000) g`)
	b.exec(`BEGIN`)
	b.exec(`UPDATE items SET category = 'y' WHERE id <= 3000`)
	other := connect(t, b.cfg.DSN)
	for _, sql := range []string{
		`SET statement_timeout = '5s'`, `BEGIN ISOLATION LEVEL SERIALIZABLE`,
		`UPDATE items SET category = 'z' WHERE id > 3000 AND id <= 9000`, `COMMIT`,
	} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	b.exec(`COMMIT`)
}

// TestPruning: rows that were read and are older than an hour are removed in batches. Unread rows are kept.
func TestPruning(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(1, $1) g`, 2*pruneLimit+10)
	b.exec(`UPDATE retraind.m_outbox SET at = now() - interval '2 hours'`)
	b.start()
	b.ready()
	b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
	b.sink.until(t, "the pruning", func() bool { return b.count(`SELECT count(*) FROM retraind.m_outbox`) == 1 })
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

// TestWhatTriggersCannotSee: changes that triggers miss are detected by the digest of the schema, and a full read
// repairs the state.
func TestWhatTriggersCannotSee(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"a trigger was off for a while": `ALTER TABLE items DISABLE TRIGGER retraind_m_update; UPDATE items SET category = 'unseen'; ALTER TABLE items ENABLE ALWAYS TRIGGER retraind_m_update`,
		// PostgreSQL refuses these as long as the trigger exists.
		"a rewriting ALTER TABLE": `DROP TRIGGER retraind_m_update ON items; ALTER TABLE items ALTER category TYPE text USING upper(category) || '!'; MIGRATION`,
		"another type of the key": `DROP TRIGGER retraind_m_update ON items; ALTER TABLE items ALTER id TYPE bigint USING id + 3000000000; MIGRATION`,
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, down %v", name, down), func(t *testing.T) {
				t.Parallel()
				b := setup(t, itemsSQL, func(dsn string) *Config {
					cfg := itemsConfig(dsn)
					cfg.Poll = unit.Duration(100 * time.Millisecond)
					return cfg
				})
				b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x'), (2, 't', 'y')`)
				_, stop := b.start()
				b.ready()
				if down {
					stop()
				}
				migration, err := Migration("m", b.cfg)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.conn.PgConn().Exec(t.Context(),
					strings.ReplaceAll(spoil, "MIGRATION", migration)).ReadAll(); err != nil {
					t.Fatal(err)
				}
				if down {
					b.start()
				}
				b.sink.until(t, "another whole table", func() bool { return b.sink.full >= 2 })
				b.sink.equalsTable(t, "m", b.cfg)
				b.exec(`UPDATE items SET category = 'after'`)
				b.sink.equalsTable(t, "m", b.cfg)
			})
		}
	}
}

// TestGoneForAWhile: the table, a column or the schema retraind is renamed, and then renamed back. The source reports
// it, and recovers.
func TestGoneForAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spoil, mend, says string }{
		"table renamed": {`ALTER TABLE items RENAME TO moved`, `ALTER TABLE moved RENAME TO items`, "public.items"},
		"column renamed": {
			`ALTER TABLE items RENAME category TO kind`, `ALTER TABLE items RENAME kind TO category`,
			"writes to this table fail",
		},
		"schema gone": {
			`ALTER SCHEMA retraind RENAME TO elsewhere`, `ALTER SCHEMA elsewhere RENAME TO retraind`,
			"lacks a table",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, itemsSQL, func(dsn string) *Config {
				cfg := itemsConfig(dsn)
				cfg.Poll = unit.Duration(100 * time.Millisecond)
				return cfg
			})
			b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`)
			source, _ := b.start()
			b.ready()
			b.exec(c.spoil)
			b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, c.says) })
			b.exec(c.mend)
			b.exec(`UPDATE items SET category = 'mended'`)
			source.Retry()
			b.sink.equalsTable(t, "m", b.cfg)
		})
	}
}

// TestALongTransactionIsTold: a long transaction is reported, and does not delay the changes of others.
func TestALongTransactionIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Poll = unit.Duration(50 * time.Millisecond)
		return cfg
	})
	source, err := New("m", b.cfg, b.sink, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	source.warnAfter = 300 * time.Millisecond
	b.run(source)
	b.ready()
	slow := connect(t, b.cfg.DSN)
	if _, err := slow.Exec(t.Context(), `BEGIN; INSERT INTO items (id, category) VALUES (1, 'slow')`); err != nil {
		t.Fatal(err)
	}
	b.exec(`INSERT INTO items (id, category) VALUES (2, 'quick')`)
	b.sink.until(t, "the quick change", func() bool { return len(b.sink.changes) == 1 })
	b.sink.until(t, "the notice",
		func() bool { return strings.Contains(source.Health().Notice, "delays its label changes") })
	if h := source.Health(); !h.Up || !strings.Contains(h.Notice, fmt.Sprint(slow.PgConn().PID())) {
		t.Errorf("health %+v", h)
	}
	if _, err := slow.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	b.sink.until(t, "the slow change", func() bool { return len(b.sink.changes) == 2 })
	b.sink.until(t, "the end of the notice", func() bool { return source.Health().Notice == "" })
}
