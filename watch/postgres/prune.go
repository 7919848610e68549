package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// Rows stay this long after they were read, for other readers and for people who look for a fault.
	keepRows   = time.Hour
	pruneEvery = 10 * time.Minute
	// pruneSlice is how many rows one call removes.
	pruneSlice = 20000
)

// prune removes what was read long ago. It is a convenience of the database: failing at it is told, and stops nothing.
func (c *session) prune(ctx context.Context) error {
	if time.Since(c.pruned) < pruneEvery {
		return nil
	}
	c.pruned = time.Now()
	seen, err := parseSnapshot(c.at.Snapshot)
	if err != nil {
		return err
	}
	// The role is read-only by default.
	for gone := int64(pruneSlice); gone >= pruneSlice && err == nil; {
		err = pgx.BeginTxFunc(ctx, c.conn, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT "+c.schema.function("prune")+"($1::text::xid8, now() - $2::interval)", strconv.FormatUint(seen.oldest, 10), keepRows).Scan(&gone)
		})
	}
	if err != nil && c.conn.IsClosed() {
		return err
	}
	if err != nil {
		c.Log.Warn("the outbox is not pruned and grows", "err", explain(c.cfg, err))
	}
	return nil
}
