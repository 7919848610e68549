package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/unit"
)

// TestLostPlaceReadsTheTableAgain invalidates the cursor of capture: logical while the source is stopped. Each time the
// whole table is read, the notice has the reason, and the stream continues.
func TestLostPlaceReadsTheTableAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	slot := `(SELECT slot_name FROM pg_replication_slots WHERE database = current_database())`
	for name, c := range map[string]struct {
		spoil func(*bundle, *logPosition)
		why   string
	}{
		"another cluster":  {func(_ *bundle, p *logPosition) { p.System = "1" }, "another PostgreSQL cluster"},
		"another timeline": {func(_ *bundle, p *logPosition) { p.Timeline++ }, "another timeline"},
		"server is behind": {func(_ *bundle, p *logPosition) { p.LSN = 1 << 60 }, "the server lacks changes that retraind has already read"},
		"other labels":     {func(_ *bundle, p *logPosition) { p.Definition = "x" }, "the label's definition changed"},
		"slot dropped": {
			func(b *bundle, _ *logPosition) { b.exec(`SELECT pg_drop_replication_slot(` + slot + `)`) },
			"is missing",
		},
		"slot created again": {func(b *bundle, _ *logPosition) {
			b.exec(`CREATE TEMP TABLE s AS SELECT ` + slot + `::text AS name`)
			b.exec(`SELECT pg_drop_replication_slot(name) FROM s`)
			b.exec(`SELECT pg_create_logical_replication_slot(name, 'pgoutput') FROM s`)
		}, "created again, or read by another client"},
		"slot read by another client": {func(b *bundle, _ *logPosition) {
			b.exec(`SELECT pg_replication_slot_advance(` + slot + `, pg_current_wal_lsn())`)
		}, "read by another client"},
		"publication created again": {func(b *bundle, _ *logPosition) {
			b.exec(`DROP PUBLICATION retraind_m`)
			b.exec(`UPDATE items SET category = 'unpublished'`)
			b.exec(`CREATE PUBLICATION retraind_m FOR TABLE items WITH (publish_via_partition_root = true)`)
		}, "the publication was changed"},
		"table left the publication": {func(b *bundle, _ *logPosition) {
			b.exec(`ALTER PUBLICATION retraind_m DROP TABLE items`)
			b.exec(`UPDATE items SET category = 'unpublished'`)
			b.exec(`ALTER PUBLICATION retraind_m ADD TABLE items`)
		}, "the publication was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
			_, stop := b.start()
			b.ready()
			b.exec(`INSERT INTO items (id, category) VALUES (1, 'x'), (2, 'x')`)
			b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 2 })
			stop()
			b.sink.until(t, "the slot to be free", func() bool {
				return b.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND active`) == 0
			})
			b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
			at, err := parseLogPosition(b.sink.cursor)
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(b, &at)
			b.sink.cursor = at.String()
			source, _ := b.start()
			b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
			b.exec(`UPDATE items SET category = 'z' WHERE id = 2`)
			b.sink.until(t, "the stream", func() bool { return b.sink.items["2"].Labels["label"] == "z" })
			b.sink.equalsTable(t, "m", b.cfg)
			if h := source.Health(); !strings.Contains(h.Notice, c.why) {
				t.Errorf("the notice does not say %q: %+v", c.why, h)
			}
		})
	}
}

func (b *bundle) count(sql string, args ...any) (n int) {
	b.t.Helper()
	if err := b.conn.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestPublicationChangedUnderTheStream: the log lacks the writes that were made while the table was not published, so
// the whole table is read.
func TestPublicationChangedUnderTheStream(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.cfg.Poll = unit.Duration(50 * time.Millisecond)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`)
	source, _ := b.start()
	b.ready()
	b.exec(`ALTER PUBLICATION retraind_m DROP TABLE items`)
	b.exec(`UPDATE items SET category = 'unpublished'`)
	b.sink.until(t, "the trouble",
		func() bool { return strings.Contains(source.Health().Error, "does not contain the table") })
	b.exec(`ALTER PUBLICATION retraind_m ADD TABLE items`)
	b.sink.until(t, "health", func() bool { source.Retry(); return source.Health().Up })
	b.sink.equalsTable(t, "m", b.cfg)
	b.exec(`UPDATE items SET category = 'back'`)
	b.sink.until(t, "the stream", func() bool { return b.sink.items["1"].Labels["label"] == "back" })
}

// TestSlotIsInvalidated: the server removes log that the stopped source has not read.
func TestSlotIsInvalidated(t *testing.T) {
	t.Parallel()
	l := ownLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`)
	_, stop := b.start()
	b.ready()
	stop()
	b.exec(`UPDATE items SET category = 'y'`)
	b.exec(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`)
	b.exec(`SELECT pg_reload_conf()`)
	b.sink.until(t, "the slot to be lost", func() bool {
		for range 3 {
			b.exec(`SELECT pg_logical_emit_message(false, 'fill', 'x')`)
			b.exec(`SELECT pg_switch_wal()`)
		}
		b.exec(`CHECKPOINT`)
		return b.count(`SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'`) == 1
	})
	if said := render(Check(t.Context(), "m", b.cfg)); !strings.Contains(said, "was invalidated") {
		t.Errorf("the check does not report the lost slot:\n%s", said)
	}
	source, _ := b.start()
	b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
	b.exec(`UPDATE items SET category = 'z'`)
	b.sink.until(t, "the stream", func() bool { return b.sink.items["1"].Labels["label"] == "z" })
	if h := source.Health(); !strings.Contains(h.Notice, "was invalidated (retraind was down for so long that the unread log exceeded") {
		t.Errorf("health %+v", h)
	}
}

// TestIdleSlotDoesNotHoldTheLog: other tables fill the log, the watched table does not change, and the server may still
// remove the log.
func TestIdleSlotDoesNotHoldTheLog(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL+`; CREATE TABLE other (t text)`, itemsConfig)
	source, stop := b.start()
	b.ready()
	b.sink.until(t, "the stream", func() bool { return source.Health().Up })
	b.exec(`INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 5000)`)
	var end string
	if err := b.conn.QueryRow(t.Context(), `SELECT pg_current_wal_lsn()::text`).Scan(&end); err != nil {
		t.Fatal(err)
	}
	b.sink.until(t, "the slot to move on", func() bool {
		return b.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn >= $1::text::pg_lsn`,
			end) == 1
	})
	stop()
	at, err := parseLogPosition(b.sink.cursor)
	if err != nil {
		t.Fatal(err)
	}
	if n := b.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > $1::text::pg_lsn`,
		at.LSN.String()); n != 0 {
		t.Errorf("the slot was told more than %s, which is stored", at.LSN)
	}
	b.start()
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`)
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

// TestColumnsChangeUnderTheStream: the log describes the table as it was at each write.
func TestColumnsChangeUnderTheStream(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', '1'), (2, 't', '2')`)
	_, stop := b.start()
	b.ready()
	b.exec(`UPDATE items SET category = '3' WHERE id = 1`)
	b.exec(`ALTER TABLE items ADD extra int DEFAULT 3, DROP views`)
	b.exec(`UPDATE items SET category = '4' WHERE id = 2`)
	b.sink.equalsTable(t, "m", b.cfg)
	stop() // the following writes are read later, when the table has changed again
	b.exec(`UPDATE items SET category = 'not a number' WHERE id = 2`)
	b.exec(`UPDATE items SET category = '5' WHERE id = 2`)
	b.exec(`ALTER PUBLICATION retraind_m SET TABLE items`)
	b.exec(`ALTER TABLE items ALTER category TYPE int USING category::int`)
	b.exec(`UPDATE items SET category = 6 WHERE id = 1`)
	source, _ := b.start()
	b.sink.equalsTable(t, "m", b.cfg)
	b.exec(`ALTER TABLE items RENAME category TO kind`)
	b.exec(`UPDATE items SET kind = 7`)
	b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, `column "category"`) })
	b.exec(`ALTER TABLE items RENAME kind TO category`)
	b.sink.until(t, "health", func() bool { source.Retry(); return source.Health().Up })
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestSecondReaderIsTold: a slot can have only one reader, so a second source reports that the slot is in use.
func TestSecondReaderIsTold(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	first, _ := b.start()
	b.ready()
	b.sink.until(t, "the stream", func() bool { return first.Health().Up })
	other := &bundle{t: t, cfg: b.cfg, sink: newMemory(), conn: b.conn}
	second, _ := other.start()
	b.sink.until(t, "the trouble", func() bool {
		return strings.Contains(second.Health().Error, "another connection reads the replication slot")
	})
}

// TestSnapshotHolds compares the result of holds with the server's.
func TestSnapshotHolds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	conn := connect(t, l.database(t))
	for _, text := range []string{
		"100:100:", "100:110:103,107", "4294967290:4294967300:4294967297,4294967299",
		"8589934600:8589934605:8589934602",
	} {
		s, err := parseSnapshot(text)
		if err != nil {
			t.Fatal(err)
		}
		for xid := s.oldest - 5; xid < s.next+5; xid++ {
			var want bool
			if err := conn.QueryRow(t.Context(), `SELECT pg_visible_in_snapshot($1::text::xid8, $2::text::pg_snapshot)`,
				fmt.Sprint(xid), text).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got := s.holds(uint32(xid)); got != want {
				t.Errorf("%d in %s: %v, the server says %v", xid, text, got, want)
			}
		}
	}
}

// TestTransactionSaysWhoWrote: retraind's own writes are marked in the log.
func TestTransactionSaysWhoWrote(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.start()
	b.ready()
	err := pgx.BeginFunc(t.Context(), b.conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`SELECT pg_logical_emit_message(true, 'retraind.origin', 'retraind:r1')`,
			`SELECT pg_logical_emit_message(true, 'retraind.author', 'relabel')`,
			`INSERT INTO items (id, title, category) VALUES (1, 't', 'x')`,
		} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE items SET category = 'y'`)
	b.sink.until(t, "both changes", func() bool { return len(b.sink.changes) == 2 })
	if c := b.sink.changes[0]; c.Origin != "retraind:r1" || c.Author != "relabel" {
		t.Errorf("%+v", c)
	}
	if c := b.sink.changes[1]; c.Origin != "" || c.Author != "" {
		t.Errorf("the mark of one transaction is on the next: %+v", c)
	}
}
