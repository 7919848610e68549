package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// writer is a transaction that has written to the outbox and has not ended.
type writer struct {
	Virtual string // virtual transaction id, unique while it runs
	PID     int32
	Who     string // user and application, as far as the role may see them
	Begun   *time.Time
}

// writers returns the transactions that are writing to the outbox. They hold its table lock from before they try the
// doorbell until they end. Their ids would not tell: a snapshot does not name running transactions that are younger
// than the last one that ended. The longest is told to people: its label changes wait for its end.
func (c *session) writers(ctx context.Context) ([]string, error) {
	rows, err := c.conn.Query(ctx, `SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, l.pid, concat_ws(', ', nullif(a.usename, ''), nullif(a.application_name, '')), a.xact_start
		FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.relation = $1::text::regclass
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, c.schema.outbox())
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[writer])
	if err != nil {
		return nil, err
	}
	now := time.Now()
	seen := make(map[string]time.Time, len(found))
	names := make([]string, len(found))
	late := ""
	var longest time.Duration
	for i, w := range found {
		names[i] = w.Virtual
		since, known := c.open[w.Virtual]
		if !known {
			since = now
		}
		seen[w.Virtual] = since
		age := now.Sub(since)
		if w.Begun != nil {
			age = max(age, now.Sub(*w.Begun))
		}
		if age >= c.patience && age > longest {
			longest = age
			late = fmt.Sprintf("a transaction holds back its label changes for %s (server process %d%s); they come when it ends, or end it with SELECT pg_terminate_backend(%[2]d)",
				age.Round(time.Second), w.PID, prefixed(", ", w.Who))
		}
	}
	c.open = seen
	c.notice(&c.late, late)
	return names, nil
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
