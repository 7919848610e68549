package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
)

// unseen creates a table whose commits can be kept invisible to readers after they are logged, as with an unreachable
// synchronous standby.
func unseen(t *testing.T, table string) *bundle {
	t.Helper()
	settings := pgtest.Logical()
	settings["synchronous_standby_names"], settings["synchronous_commit"] = "nobody", "local"
	l := &lab{pgtest.Cluster(t, pgcluster.Options{Settings: settings})}
	return l.setup(t, CaptureLogical, table, itemsConfig)
}

// held runs statements in a transaction whose commit is in the log, but invisible until show is called.
func (b *bundle) held(sql string) (show func()) {
	b.t.Helper()
	writer := connect(b.t, b.cfg.DSN)
	pid := writer.PgConn().PID()
	committed := make(chan error, 1)
	go func() {
		_, err := writer.PgConn().Exec(context.Background(),
			"BEGIN; SET LOCAL synchronous_commit = on; "+sql+"; COMMIT").ReadAll()
		committed <- err
	}()
	b.sink.until(b.t, "the commit to wait", func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, pid) == 1
	})
	return func() {
		b.t.Helper()
		b.exec(`SELECT pg_cancel_backend($1)`, pid) // it commits without the standby
		if err := <-committed; err != nil {
			b.t.Fatal(err)
		}
	}
}

// waits reports whether the reader polls for visibility.
func (b *bundle) waits() bool {
	return b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query = $1`,
		snapshotQuery) > 0
}

// TestRowIsReadOnceItsCommitIsVisible: values that the log omits must not be read from the old version of the row.
func TestRowIsReadOnceItsCommitIsVisible(t *testing.T) {
	t.Parallel()
	b := unseen(t, itemsSQL)
	b.exec(`ALTER TABLE items ALTER content SET STORAGE EXTERNAL`)
	b.exec(`INSERT INTO items (id, title, content, category) VALUES (1, 'before', repeat('o', 9000), 'x')`)
	b.start()
	b.ready()
	// The second update changes no content, so the log omits it.
	show := b.held(`UPDATE items SET content = repeat('n', 9000); UPDATE items SET title = 'after', category = 'y'`)
	b.sink.until(t, "the reader to come to it", func() bool { return b.waits() || len(b.sink.changes) > 0 })
	if changes := b.sink.log(); len(changes) > 0 {
		t.Errorf("told before anybody can see it: %.200v", changes)
	}
	show()
	b.sink.equalsTable(t, "m", b.cfg)
	if got := b.sink.snapshot()["1"]; got.Text["title"] != "after" || !strings.HasPrefix(got.Text["content"], "nnn") {
		t.Errorf("the item is %.100v", got)
	}
}

// TestWholeReadHoldsWhatTheLogTold: a whole-table read that does not see a commit yet must not overwrite what the log
// has already reported.
func TestWholeReadHoldsWhatTheLogTold(t *testing.T) {
	t.Parallel()
	b := unseen(t, strings.Replace(itemsSQL, "DEFAULT 0)",
		"DEFAULT 0) PARTITION BY RANGE (id); CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (10)", 1))
	b.cfg.Poll = unit.Duration(20 * time.Millisecond)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.start()
	b.ready()
	show := b.held(`UPDATE items SET category = 'y'`)
	b.sink.until(t, "the reader to come to it", func() bool { return b.waits() || len(b.sink.changes) > 0 })
	b.exec(`CREATE TABLE items_2 (LIKE items INCLUDING ALL)`)
	b.exec(`ALTER TABLE items ATTACH PARTITION items_2 FOR VALUES FROM (10) TO (20)`)
	b.sink.until(t, "the whole-table read", func() bool { return b.waits() || b.sink.full > 1 })
	show()
	b.sink.equalsTable(t, "m", b.cfg)
	b.sink.until(t, "the whole-table read after it", func() bool { return b.sink.full > 1 })
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestSlotThatSomebodyMovedOn: the whole-table read contains the changes before the slot's position, even those that
// are not visible at first.
func TestSlotThatSomebodyMovedOn(t *testing.T) {
	t.Parallel()
	b := unseen(t, itemsSQL)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	_, stop := b.start()
	b.ready()
	stop()
	b.sink.until(t, "the slot to be free",
		func() bool { return b.count(`SELECT count(*) FROM pg_replication_slots WHERE active`) == 0 })
	show := b.held(`UPDATE items SET category = 'y'`)
	b.exec(`SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots`)
	source, _ := b.start()
	b.sink.until(t, "the reader to wait for the writer", func() bool {
		return b.sink.full > 1 || strings.Contains(source.Health().Error, "until all transactions that write to the table now have ended")
	})
	show()
	b.sink.equalsTable(t, "m", b.cfg)
	b.sink.until(t, "health", func() bool { return source.Health().Up })
}

// TestServerWaitsForItsReader: commits that wait for retraind would wait for ever, because retraind waits for them too.
// The source and check report it.
func TestServerWaitsForItsReader(t *testing.T) {
	t.Parallel()
	b := unseen(t, itemsSQL)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	source, _ := b.start()
	b.ready()
	b.exec(`ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ("*")'`)
	b.exec(`SELECT pg_reload_conf()`)
	b.sink.until(t, "the setting", func() bool {
		return b.count(`SELECT count(*) FROM pg_settings
			WHERE name = 'synchronous_standby_names' AND setting LIKE 'FIRST%'`) == 1
	})
	show := b.held(`UPDATE items SET category = 'y'`)
	const trouble = "the server treats retraind as a synchronous standby"
	b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, trouble) })
	if said := render(Check(t.Context(), "m", b.cfg)); !strings.Contains(said, trouble) {
		t.Errorf("the check says:\n%s", said)
	}
	show()
	b.exec(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
	b.exec(`SELECT pg_reload_conf()`)
	b.sink.until(t, "health", func() bool { source.Retry(); return source.Health().Up })
	b.sink.equalsTable(t, "m", b.cfg)
}
