package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// houseEvery is how often the listener looks after what no ring announces.
	houseEvery = 10 * time.Second
	// longTransaction is how long a transaction may hold back the label changes that it made before people are told.
	longTransaction = 10 * time.Minute
)

// house does from time to time what no ring asks for: it prunes, finds transactions that are open for long, and notices
// that the table or its triggers were changed. Then what was missed is read.
func (c *session) house(ctx context.Context) error {
	if time.Since(c.housed) < min(houseEvery, c.cfg.poll()) {
		return nil
	}
	c.housed = time.Now()
	if err := c.prune(ctx); err != nil {
		return err
	}
	var now string
	err := c.within(ctx, func() (err error) {
		if _, err = c.writers(ctx); err == nil {
			now, err = c.shape(ctx)
		}
		return err
	})
	if err != nil || now == c.at.Shape {
		return err
	}
	columns, err := c.inspected(ctx, c.conn)
	if err != nil {
		return err
	}
	c.keyTypes = c.schema.keyTypes(columns)
	return c.readAll(ctx, reshaped)
}

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
