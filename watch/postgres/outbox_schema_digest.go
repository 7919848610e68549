package postgres

import (
	"context"
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

// reshaped is the reason when the digest is another.
const reshaped = "the table or its triggers were changed, truncated or rewritten"
