package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// identity identifies the cluster and the timeline of a cursor. The numbers in a cursor (transaction ids, log
// positions) are meaningless on another cluster or timeline.
type identity struct {
	System   string `json:"system"`   // system identifier of the cluster
	Timeline int64  `json:"timeline"` // changes with each failover or restore
}

// foreign returns the reason why a cursor with the identity "a" cannot be used on a server with the identity "now", or
// "" if it can.
func (a identity) foreign(now identity) string {
	switch {
	case a.System != now.System:
		return "another PostgreSQL cluster answers (system identifier " + now.System + " instead of " + a.System + ")"
	case a.Timeline != now.Timeline:
		return fmt.Sprintf("the server has another timeline (%d instead of %d: failover or restore)", now.Timeline,
			a.Timeline)
	}
	return ""
}

// serverBehind is the reason for a full read when a server lacks changes that retraind has already read from it.
const serverBehind = "the server lacks changes that retraind has already read (was it restored from an older copy?)"

// identityColumns are the SQL columns that select an identity. The timeline is taken from the name of the current WAL
// file, because right after a promotion the last checkpoint still contains the old timeline.
const identityColumns = `(pg_control_system()).system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int`

// storage is the SQL for a digest of the files of the table $1 and its partitions. A TRUNCATE, a rewrite, and attaching
// or detaching a partition change the digest.
const storage = `(SELECT md5(string_agg(r.oid::text || ':' || coalesce(pg_relation_filenode(r.oid), 0)::text, ',' ORDER BY r.oid))
	FROM (SELECT $1::text::regclass::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::text::regclass)) AS r)`

// relationKind looks up the table's kind in the catalog: r ordinary table, p partitioned table, v or m view, f
// foreign table.
func (s *schema) relationKind(ctx context.Context, conn *pgx.Conn) (kind string, err error) {
	err = conn.QueryRow(ctx, "SELECT relkind::text FROM pg_class WHERE oid = $1::text::regclass", s.table).Scan(&kind)
	return kind, err
}
