package postgres

import (
	"context"
	"time"
)

const (
	// houseEvery is how often the listener looks after what no ring announces.
	houseEvery = 10 * time.Second
	// longTransaction is how long a transaction may hold back the label changes that it made before people are told.
	longTransaction = 10 * time.Minute
)

// shapeQuery is a digest of what must stay as it is for the triggers to have seen every change of the table $1: its
// storage (a TRUNCATE of a partition, a rewrite by ALTER TABLE), its triggers (one that was switched off and on again)
// and the columns $2 that are read. A row of the catalog has another xmin after each change of it.
const shapeQuery = `SELECT ` + storage + ` || md5((SELECT string_agg(part, ',' ORDER BY part) FROM (
	SELECT 't' || oid::text || ':' || xmin::text AS part FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal
	UNION ALL
	SELECT 'a' || attnum::text || ':' || atttypid::text || ':' || atttypmod::text FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND ($2::text[] IS NULL OR attname = ANY ($2::text[]))
) AS parts))`

// shape asks for the digest. Which columns an expression reads is only known to the server: then all of them count.
func (c *session) shape(ctx context.Context) (digest string, err error) {
	var columns []string
	if !c.schema.expressive() {
		columns = c.schema.reads()
	}
	err = c.conn.QueryRow(ctx, shapeQuery, c.schema.table, columns).Scan(&digest)
	return digest, err
}

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

// reshaped is the reason when the digest is another.
const reshaped = "the table or its triggers were changed, truncated or rewritten"
