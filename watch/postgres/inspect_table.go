package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
)

// refusedKinds maps each kind of relation that some captures cannot follow to the reason and the cure.
var refusedKinds = map[string]struct{ why, cure string }{
	"v": {"a view, whose label changes no trigger sees", "name the table that holds the labels, or set capture: poll"},
	"m": {"a materialized view, whose label changes no trigger sees", "name the table that holds the labels, or set capture: poll"},
	"f": {"a foreign table, whose label changes happen on another server", "follow it in the database that contains it, or set capture: poll"},
	"p": {"a partitioned table, whose label changes this capture cannot follow", "set capture: outbox"},
	"i": {
		"tied to KIN by partitioning or inheritance, so that its labels may be changed through KIN too",
		"name KIN if KIN is the partitioned table, or turn the inheritance into partitions",
	},
}

// findTable looks up the table's columns and their types, and reports a table that cannot be followed.
func (s *schema) findTable(ctx context.Context, conn *pgx.Conn, found *check.Problems) (columns map[string]string,
	stop bool, err error,
) {
	var kind, kin string
	err = conn.QueryRow(ctx, `SELECT CASE WHEN kin <> '' THEN 'i' ELSE c.relkind::text END, kin
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
		LATERAL (SELECT coalesce((SELECT min(concat_ws('.', kn.nspname, k.relname)) FROM pg_inherits i JOIN pg_class k ON k.oid = CASE WHEN i.inhrelid = c.oid THEN i.inhparent ELSE i.inhrelid END
			JOIN pg_namespace kn ON kn.oid = k.relnamespace WHERE i.inhrelid = c.oid OR i.inhparent = c.oid AND c.relkind = 'r'), '') AS kin) AS k
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, s.ident[0],
		s.ident[1]).Scan(&kind, &kin)
	if errors.Is(err, pgx.ErrNoRows) {
		hint := "correct labels.postgres.table"
		var others []string
		rows, err := conn.Query(ctx,
			`SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retraind')
			ORDER BY n.nspname <> $1, c.relname LIMIT 8`, s.ident[0])
		if err == nil {
			others, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return nil, true, err
		}
		if len(others) > 0 {
			hint += "; existing tables: " + strings.Join(others, ", ")
		}
		found.Errorf("table", hint, "database %q has no table %s", databaseOf(conn), strings.Join(s.ident, "."))
		return nil, true, nil
	}
	if err != nil {
		return nil, true, err
	}
	if refused, ok := refusedKinds[kind]; ok && !s.cfg.capture().follows(kind) {
		named := strings.NewReplacer("KIN", kin)
		found.Errorf("table", named.Replace(refused.cure), "%s is %s", strings.Join(s.ident, "."),
			named.Replace(refused.why))
		return nil, true, nil
	}
	rows, err := conn.Query(ctx, `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
		WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped`, s.table)
	if err != nil {
		return nil, true, err
	}
	columns = map[string]string{}
	var name, sqlType string
	_, err = pgx.ForEachRow(rows, []any{&name, &sqlType}, func() error {
		columns[name] = sqlType
		return nil
	})
	return columns, false, err
}
