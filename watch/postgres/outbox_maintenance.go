package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// maintenanceInterval is how often the listener runs maintenance, unless the configured poll is shorter.
	maintenanceInterval = 10 * time.Second
	// longTransaction is the age from which Health.Notice reports a transaction with uncommitted label changes.
	longTransaction = 10 * time.Minute
)

// runMaintenance prunes the outbox, reports long transactions and detects schema changes. After a schema change it
// reads the whole table, because the triggers may have missed changes.
func (c *session) runMaintenance(ctx context.Context) error {
	if time.Since(c.maintained) < min(maintenanceInterval, c.cfg.poll()) {
		return nil
	}
	c.maintained = time.Now()
	if err := c.prune(ctx); err != nil {
		return err
	}
	var now string
	err := c.inTransaction(ctx, func() (err error) {
		if _, err = c.openTransactions(ctx); err == nil {
			now, err = c.schemaDigest(ctx)
		}
		return err
	})
	if err != nil || now == c.at.SchemaDigest {
		return err
	}
	columns, err := c.inspected(ctx, c.conn)
	if err != nil {
		return err
	}
	c.keyTypes = c.schema.keyTypes(columns)
	return c.fullRead(ctx, schemaReason(c.at.SchemaDigest, now))
}

const (
	// keepReadRows is how long rows are kept after they were written, even if they were read, for other readers and for
	// debugging.
	keepReadRows  = time.Hour
	pruneInterval = 10 * time.Minute
	// pruneLimit is how many rows one call removes at most.
	pruneLimit = 20000
)

// prune removes rows that were read and are older than keepReadRows. If that fails without breaking the connection, the
// error is only logged.
func (c *session) prune(ctx context.Context) error {
	if time.Since(c.lastPrune) < pruneInterval {
		return nil
	}
	c.lastPrune = time.Now()
	seen, err := parseSnapshot(c.at.Snapshot)
	if err != nil {
		return err
	}
	// The role is read-only by default, so the transaction is made read-write.
	for gone := int64(pruneLimit); gone >= pruneLimit && err == nil; {
		err = pgx.BeginTxFunc(ctx, c.conn, pgx.TxOptions{AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT "+c.schema.function("prune")+"($1::text::xid8, now() - $2::interval)",
				strconv.FormatUint(seen.oldest, 10), keepReadRows).Scan(&gone)
		})
	}
	if err != nil && c.conn.IsClosed() {
		return err
	}
	if err != nil {
		c.Log.Warn("cannot prune the outbox, so it keeps growing", "err", explain(c.cfg, err))
	}
	return nil
}
