package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
)

// findWatermark reports a watermark column that cannot serve as one, or that the table is slow to search by.
func (s *schema) findWatermark(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	column := s.cfg.watermark()
	path := "watermark"
	if s.cfg.Watermark == "" {
		path = "updated_at"
	}
	table := strings.Join(s.ident, ".")
	var kind, sqlType, category string
	var nullable, indexed, ordered bool
	err := conn.QueryRow(ctx, `SELECT c.relkind::text, format_type(a.atttypid, a.atttypmod), t.typcategory::text, NOT a.attnotnull,
		EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL),
		EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree' WHERE o.opcdefault AND o.opcintype = a.atttypid)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = $1::text::regclass AND a.attname = $2`, s.table, column).Scan(&kind, &sqlType, &category, &nullable, &indexed, &ordered)
	if err != nil {
		return err
	}
	switch {
	case !ordered || category == "S":
		found.Errorf(path, "name a timestamp or a number that grows with each write", "column %q of table %s is %s, which does not say what was written later", column, table, sqlType)
		return nil
	case kind != "r" && kind != "p":
		// A view has no index of its own.
	case !indexed:
		found.Warnf(path, fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (%s)", s.table, ident(column)), "no index begins with column %q: each look reads the whole table %s", column, table)
	}
	if nullable && kind == "r" {
		found.Warnf(path, fmt.Sprintf("ALTER TABLE %s ALTER %s SET NOT NULL", s.table, ident(column)), "rows of %s whose %q is NULL are seen only by the full compare", table, column)
	}
	return nil
}
