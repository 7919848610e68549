package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// A commit is in the log a little before anybody sees it, and longer while a synchronous standby has not confirmed it.
// What the log tells is not taken before it is seen. Else a whole-table read that comes next would not hold it and count
// as the newer of the two all the same; and of a primary that fails, its standby might never have had it.

const (
	// visiblePollMax is the longest pause between two looks for a commit.
	visiblePollMax = 50 * time.Millisecond
	// visibleWarnAfter is how long a commit may stay unseen before it is told why changes wait.
	visibleWarnAfter = 2 * time.Second
)

const snapshotQuery = "SELECT pg_current_snapshot()::text"

// waitUntilVisible waits until queries see what transactions wrote.
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
				return &rereadError{} // the inspection says how to mend it
			}
			told = true
			s.Down(&watch.Fault{
				Cause: "the log holds a commit that nobody sees yet, since it waits for a synchronous standby",
				Cure:  "look at pg_stat_replication and at synchronous_standby_names",
			})
		}
		if time.Since(spoke) > pingEvery { // a server that hears nothing ends the stream
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

// isStandby tells whether the server takes retraind for a synchronous standby: each commit would wait for it.
func isStandby(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var standbys, name string
	err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names'), current_setting('application_name')").
		Scan(&standbys,
			&name)
	names := strings.FieldsFunc(standbys, func(r rune) bool { return strings.ContainsRune(" \t\n,()\"", r) })
	return slices.ContainsFunc(names, func(n string) bool { return n == "*" || strings.EqualFold(n, name) }), err
}

// waitForWriters waits for those who write to the table now: what lies before the slot's place and nobody sees is theirs.
func (d *logReader) waitForWriters(ctx context.Context) error {
	writers, err := d.tableWriters(ctx)
	if err != nil {
		return err
	}
	told := time.AfterFunc(visibleWarnAfter, func() {
		d.Down(&watch.Fault{
			Cause: "the table is read once all transactions have ended that write to it now",
			Cure:  "look for old ones in pg_stat_activity",
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

// tableWriters returns the transactions that write to the table. They keep its lock until others see what they wrote.
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
