package postgres

import (
	"context"
	"strings"
)

// schemaDigestQuery queries a digest that changes whenever the triggers may have missed changes of the table $1. The
// digest covers the table's storage (a TRUNCATE of a partition, a rewrite by ALTER TABLE), its triggers (also one that
// was disabled and enabled again, because a catalog row gets a new xmin with each change) and the columns $2 that are
// read.
const schemaDigestQuery = `SELECT ` + storage + ` || md5((SELECT string_agg(part, ',' ORDER BY part) FROM (
	SELECT 't' || oid::text || ':' || xmin::text AS part FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal
	UNION ALL
	SELECT 'a' || attnum::text || ':' || atttypid::text || ':' || atttypmod::text FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND ($2::text[] IS NULL OR attname = ANY ($2::text[]))
) AS parts))`

// schemaDigest returns two digests separated by a blank: the result of schemaDigestQuery, and the digest of
// schema.meaning. If a label is an expression, the first covers all columns, because only the server knows which
// columns the expression reads.
func (c *session) schemaDigest(ctx context.Context) (digest string, err error) {
	var columns []string
	if !c.schema.expressive() {
		columns = c.schema.readColumns()
	}
	err = c.conn.QueryRow(ctx, schemaDigestQuery+" || ' ' || "+c.schema.meaning(), c.schema.table, columns).Scan(&digest)
	return digest, err
}

// schemaReason returns the reason for a full read after either digest changed.
func schemaReason(before, now string) string {
	table, _, _ := strings.Cut(before, " ")
	if same, _, _ := strings.Cut(now, " "); same == table {
		return meaningChanged
	}
	return schemaChanged
}

// schemaChanged is the reason for a full read after the digest of schemaDigestQuery changed.
const schemaChanged = "the table or its triggers were changed, truncated or rewritten"
