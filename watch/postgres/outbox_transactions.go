package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// openTransaction is a transaction that has written to the outbox and is still open.
type openTransaction struct {
	Virtual string  // virtual transaction id, unique while the transaction runs
	PID     int32   // 0 for a prepared transaction
	GID     *string // name of a prepared transaction
	Who     string  // user and application, if the role may see them
	Begun   *time.Time
}

// openTransactions returns the virtual ids of the transactions that are writing to the outbox. Such a transaction
// locks the outbox table before it checks the advisory lock, and keeps the table locked until it ends. Transaction ids
// cannot be used: a snapshot does not list running transactions that are younger than the last one that ended. If the
// oldest transaction is older than warnAfter, it is reported as a notice, because its label changes become visible only
// when it ends.
func (c *session) openTransactions(ctx context.Context) ([]string, error) {
	rows, err := c.conn.Query(ctx,
		`SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, coalesce(l.pid, 0), CASE WHEN l.pid IS NULL THEN (
			SELECT p.gid FROM pg_prepared_xacts AS p JOIN pg_locks AS x ON x.locktype = 'transactionid' AND x.transactionid = p.transaction
			WHERE x.virtualtransaction = l.virtualtransaction) END, concat_ws(', ', nullif(a.usename, ''), nullif(a.application_name, '')), a.xact_start
		FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.relation = $1::text::regclass
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, c.schema.outbox())
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[openTransaction])
	if err != nil {
		return nil, err
	}
	now := time.Now()
	seen := make(map[string]time.Time, len(found))
	names := make([]string, len(found))
	late := ""
	var longest time.Duration
	for i, open := range found {
		names[i] = open.Virtual
		since, known := c.openSince[open.Virtual]
		if !known {
			since = now
		}
		seen[open.Virtual] = since
		age := now.Sub(since)
		if open.Begun != nil {
			age = max(age, now.Sub(*open.Begun))
		}
		if age >= c.warnAfter && age > longest {
			longest = age
			late = open.late(age)
		}
	}
	c.openSince = seen
	c.notice(&c.late, late)
	return names, nil
}

// late returns the notice about a transaction whose label changes stay invisible until it ends.
func (o openTransaction) late(age time.Duration) string {
	age = age.Round(time.Second)
	if o.GID != nil {
		return fmt.Sprintf("the prepared transaction %s delays its label changes (by %s so far); commit it with COMMIT PREPARED %[1]s, or discard it with ROLLBACK PREPARED %[1]s",
			literal(*o.GID), age)
	}
	return fmt.Sprintf("an open transaction delays its label changes (by %s so far; server process %d%s); wait until it commits, or roll it back with SELECT pg_terminate_backend(%[2]d)",
		age, o.PID, prefixed(", ", o.Who))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
