package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// A commit is in the log shortly before queries can see it. The delay is longer while a synchronous standby has not
// confirmed the commit. A logged change is not used before queries can see it, for two reasons. First, a full read that
// follows might lack the change, although the read counts as newer than the change. Second, if the primary fails, its
// standby might never have received the change.

const (
	// visiblePollMax is the longest pause between two checks.
	visiblePollMax = 50 * time.Millisecond
	// visibleWarnAfter is how long a commit may stay invisible before the reason for the delay is reported.
	visibleWarnAfter = 2 * time.Second
)

const snapshotQuery = "SELECT pg_current_snapshot()::text"

// waitUntilVisible waits until queries see the writes of the given transactions.
func (s *stream) waitUntilVisible(ctx context.Context, writers []uint32) error {
	begun, spoke, told := time.Now(), time.Now(), false
	for rest := time.Millisecond; ; rest = min(2*rest, visiblePollMax) {
		var text string
		if err := s.conn.QueryRow(ctx, snapshotQuery).Scan(&text); err != nil {
			return err
		}
		seen, err := parseSnapshot(text)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(writers, func(xid uint32) bool { return !seen.holds(xid) }) {
			if told {
				s.Up()
			}
			return nil
		}
		if !told && time.Since(begun) > visibleWarnAfter {
			if awaited, err := isStandby(ctx, s.conn); err != nil {
				return err
			} else if awaited {
				return &rereadError{} // the inspection reports the cure
			}
			told = true
			s.Down(&watch.Fault{
				Cause: "a commit in the log is not visible yet: it waits for a synchronous standby",
				Cure:  "check pg_stat_replication and synchronous_standby_names",
			})
		}
		if time.Since(spoke) > pingEvery { // without a reply the server would end the stream
			if err := s.confirm(ctx, false); err != nil {
				return err
			}
			spoke = time.Now()
		}
		if err := pause(ctx, rest); err != nil {
			return err
		}
	}
}

// isStandby reports whether the server treats retraind as a synchronous standby. Each commit would then wait for
// retraind.
func isStandby(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var standbys, name string
	err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names'), current_setting('application_name')").
		Scan(&standbys,
			&name)
	names := strings.FieldsFunc(standbys, func(r rune) bool { return strings.ContainsRune(" \t\n,()\"", r) })
	return slices.ContainsFunc(names, func(n string) bool { return n == "*" || strings.EqualFold(n, name) }), err
}

// waitForWriters lists the transactions that are writing to the table, and waits until all of these have ended. Only
// their commits can be before the slot's position and still be invisible to queries.
func (d *logReader) waitForWriters(ctx context.Context) error {
	writers, err := d.tableWriters(ctx)
	if err != nil {
		return err
	}
	told := time.AfterFunc(visibleWarnAfter, func() {
		d.Down(&watch.Fault{
			Cause: "the table is not read yet: retraind waits until all transactions that write to the table now have ended",
			Cure:  "look for old transactions in pg_stat_activity",
		})
	})
	defer told.Stop()
	for rest := time.Millisecond; len(writers) > 0; rest = min(2*rest, visiblePollMax) {
		if err := pause(ctx, rest); err != nil {
			return err
		}
		now, err := d.tableWriters(ctx)
		if err != nil {
			return err
		}
		writers = slices.DeleteFunc(writers, func(w string) bool { return !slices.Contains(now, w) })
	}
	return nil
}

// tableWriters returns the transactions that are writing to the table. They hold a lock on the table until their writes
// are visible.
func (d *logReader) tableWriters(ctx context.Context) ([]string, error) {
	rows, err := d.conn.Query(ctx,
		`SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted
		AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND relation IN (SELECT $1::text::regclass::oid UNION SELECT relid::oid FROM pg_partition_tree($1::text::regclass))`,
		d.schema.table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
