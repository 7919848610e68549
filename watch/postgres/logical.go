package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/watch"
)

// logReader follows a table through the server's log. It has a connection for queries; a second connection (see stream)
// receives the log.
type logReader struct {
	*Source
	conn        *pgx.Conn
	kind        string            // of the table
	columns     map[string]string // SQL types by name
	at          logPosition
	inspectedAt time.Time // when the publication, the slot and the schema were last checked
}

// followLogical follows the log until ctx ends or a connection breaks.
func (s *Source) followLogical(ctx context.Context, onUp func()) error {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer s.closeConn(conn)
	d := &logReader{Source: s, conn: conn}
	return guard(ctx, s.cfg, conn, func(ctx context.Context) error { return d.run(ctx, onUp) })
}

func (d *logReader) run(ctx context.Context, onUp func()) error {
	var err error
	if d.columns, err = d.inspected(ctx, d.conn); err != nil {
		return err
	}
	if d.kind, err = d.schema.relationKind(ctx, d.conn); err != nil {
		return err
	}
	now, err := d.serverState(ctx)
	if err != nil {
		return err
	}
	reason, renew, err := d.resume(ctx, now)
	if err != nil {
		return err
	}
	for {
		if reason != "" {
			if err := d.fullRead(ctx, now, reason, renew); err != nil {
				return err
			}
		}
		var repeat *rereadError
		if err := d.stream(ctx, now.Slot, onUp); !errors.As(err, &repeat) {
			return err
		}
		if reason = repeat.reason; reason == "" {
			return nil // the table's columns changed: inspect it again, at once
		}
		renew = false
		if now, err = d.serverState(ctx); err != nil {
			return err
		}
	}
}

// rereadError ends a stream. With a reason the whole table must be read; without one the table is only inspected
// again.
type rereadError struct{ reason string }

func (a *rereadError) Error() string { return "read the whole table: " + a.reason }

// serverState queries the server's present state.
func (d *logReader) serverState(ctx context.Context) (*serverState, error) {
	now := &serverState{logPosition: logPosition{
		Capture: CaptureLogical, Definition: d.schema.labelDefinition(),
		Spelling: spelling,
	}}
	var end string
	var stored *string
	err := d.conn.QueryRow(ctx, "SELECT "+identityColumns+", pg_current_wal_lsn()::text, "+d.schema.slot()+", "+
		d.published()+", "+storage+", "+d.schema.meaning(), d.schema.table, d.schema.publication()).
		Scan(&now.System, &now.Timeline, &end, &now.Slot, &now.Published, &stored, &now.Meaning)
	if err != nil {
		return nil, err
	}
	if d.kind == "p" {
		now.Storage = *stored
	}
	if err := now.End.UnmarshalText([]byte(end)); err != nil {
		return nil, err
	}
	var confirmed string
	err = d.conn.QueryRow(ctx, "SELECT coalesce(wal_status, ''), coalesce(confirmed_flush_lsn, '0/0')::text FROM pg_replication_slots WHERE slot_name = "+
		d.schema.slot()).
		Scan(&now.Status, &confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return now, nil
	}
	if err != nil {
		return nil, err
	}
	now.Exists, d.inspectedAt = true, time.Now()
	return now, now.Confirmed.UnmarshalText([]byte(confirmed))
}

// published returns an SQL expression whose value changes when the table is removed from the publication $2 and added
// again.
func (d *logReader) published() string {
	return "coalesce((SELECT p.oid::text || '/' || r.oid::text FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $2::text AND r.prrelid = $1::text::regclass), '')"
}

// resume reads the stored position. If the log cannot be followed from there, it returns the reason for a full read,
// and whether the slot must be created again (renew).
func (d *logReader) resume(ctx context.Context, now *serverState) (reason string, renew bool, err error) {
	text, err := d.sink.Cursor(ctx, d.Name())
	if err != nil {
		return "", false, &sinkError{"read the cursor", err}
	}
	if text == "" {
		d.otherSpelling = true // items of an earlier read may exist even without a cursor
		return firstRead, false, nil
	}
	stored, err := parseLogPosition(text)
	if err != nil {
		return err.Error(), false, nil //nolint:nilerr // an unreadable cursor is a reason to read the table
	}
	d.at = stored
	d.otherSpelling = stored.Spelling != spelling
	reason, renew = stored.lost(now)
	return reason, renew, nil
}

// fullRead passes the whole table to the sink. The log is then read from the slot's position, but transactions that the
// full read contains are skipped.
func (d *logReader) fullRead(ctx context.Context, now *serverState, reason string, renew bool) error {
	d.logFullRead(reason)
	fresh := renew || !now.Exists || now.Status == "lost"
	if fresh {
		if err := d.newSlot(ctx, now); err != nil {
			return err
		}
	}
	// Commits before the slot's position are not streamed, so the full read must see those that were not read before.
	if read := d.at.LSN; fresh || read > 0 && now.Confirmed > read {
		if err := d.waitForWriters(ctx); err != nil {
			return err
		}
	}
	tx, err := beginRead(ctx, d.conn)
	if err != nil {
		return err
	}
	// After any error the connection is closed, which also ends the transaction.
	next := now.logPosition
	next.LSN = now.Confirmed
	var until string
	// Transactions that are visible in the snapshot have written their commit record before this position.
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text").Scan(&next.Snapshot,
		&until); err != nil {
		return err
	}
	if err := next.Until.UnmarshalText([]byte(until)); err != nil {
		return err
	}
	count, err := d.replace(ctx, tx, next.String(), reason == tableTruncated)
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	d.at = next
	d.Stored(watch.Receipt{Taken: max(1, count)})
	return nil
}

// slotWarnAfter is how long creating a slot may take before the reason is reported.
const slotWarnAfter = 2 * time.Second

// newSlot creates the replication slot. If the slot exists, newSlot drops it first.
func (d *logReader) newSlot(ctx context.Context, now *serverState) error {
	told := time.AfterFunc(slotWarnAfter, func() {
		d.Down(&watch.Fault{
			Cause: "the replication slot " + now.Slot + " is not created yet: " +
				"PostgreSQL waits until all transactions that are open now have ended",
			Cure: "look for old transactions in pg_stat_activity",
		})
	})
	defer told.Stop()
	if now.Exists {
		if _, err := d.conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", now.Slot); err != nil {
			return err
		}
	}
	var confirmed string
	if err := d.conn.QueryRow(ctx, "SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput')",
		now.Slot).Scan(&confirmed); err != nil {
		return err
	}
	now.Exists, now.Status = true, ""
	d.Log.Info("replication slot created", "slot", now.Slot)
	return now.Confirmed.UnmarshalText([]byte(confirmed))
}

// checkSchema detects changes that the log does not report: of the publication, of the slot, of partitions, and of the
// definitions from which labels are computed.
func (d *logReader) checkSchema(ctx context.Context) error {
	if time.Since(d.inspectedAt) < d.cfg.poll() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	now, err := d.serverState(limited)
	if err != nil {
		return err
	}
	d.inspectedAt = time.Now()
	if now.Published != d.at.Published || !now.Exists || now.Status == "lost" {
		return &rereadError{} // the next connection inspects what changed
	}
	if now.Storage != d.at.Storage || now.Meaning != d.at.Meaning {
		reason, _ := d.at.lost(now)
		return &rereadError{reason: reason}
	}
	return nil
}

// replication opens a connection that can stream the log.
func (d *logReader) replication(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := connConfig(d.cfg)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["replication"] = "database"
	// A WAL sender whose receiver has vanished holds the slot until this timeout; the default is a minute.
	config.RuntimeParams["wal_sender_timeout"] = "20s"
	for _, t := range textSettings {
		config.RuntimeParams[t.name] = t.value
	}
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = "0"
	return pgconn.ConnectConfig(ctx, &config.Config)
}
