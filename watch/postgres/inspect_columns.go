package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
)

// findColumns reports configured columns that the table does not have, and returns them.
func (s *schema) findColumns(columns map[string]string, found *check.Problems) (missing []string) {
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.Sort(names)
	want := func(path, column string) {
		if _, ok := columns[column]; !ok && column != "" {
			hint := "its columns are " + strings.Join(names, ", ")
			if near := check.Nearest(column, names); near != "" {
				hint = fmt.Sprintf("did you mean %q? %s", near, hint)
			}
			found.Errorf(path, hint, "table %s has no column %q", strings.Join(s.ident, "."), column)
			missing = append(missing, column)
		}
	}
	for i, column := range s.cfg.ID {
		want(check.Index("id", i), column)
	}
	for i, column := range s.cfg.Text {
		want(check.Index("text", i), column)
	}
	for _, t := range s.cfg.targets() {
		if columnName.MatchString(t.source) {
			want(s.labelPath(t), t.source)
		}
	}
	want("author", s.cfg.Author)
	want("updated_at", s.cfg.UpdatedAt)
	want("watermark", s.cfg.Watermark)
	return missing
}

// findRenamed extends the hint about each missing column that the triggers still use, because the application's own
// writes then fail. The findings about missing columns are the last ones in `found`, in the same order as `missing`.
func (s *schema) findRenamed(ctx context.Context, conn *pgx.Conn, missing []string, found check.Problems) error {
	if s.cfg.capture() != CaptureOutbox {
		return nil
	}
	var bodies string
	err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(p.prosrc, ' '), '') FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
		WHERE t.tgrelid = $1::text::regclass AND t.tgname = ANY ($2)`, s.table,
		[]string{"retraind_" + s.model + "_insert", "retraind_" + s.model + "_update"}).Scan(&bodies)
	if err != nil {
		return err
	}
	for i, column := range missing {
		if strings.Contains(bodies, "."+ident(column)) {
			p := &found[len(found)-len(missing)+i]
			p.Hint = "writes to this table fail, because retraind's triggers use the column: rename it back, or correct the configuration and run the SQL of `retraind init sql` as the table's owner (for the next migration: retraind init sql --down, migrate, retraind init sql); " +
				p.Hint
		}
	}
	return nil
}

func (s *schema) labelPath(t target) string {
	if t.name == serving.NotLabelled {
		return "labelled_when"
	}
	if s.cfg.Label != "" {
		return "label"
	}
	return "targets." + t.name
}

// findExpressions asks the server to parse the label expressions and labelled_when, and reports errors.
func (s *schema) findExpressions(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	for _, t := range s.cfg.targets() {
		if columnName.MatchString(t.source) {
			continue
		}
		_, err := conn.Prepare(ctx, "", "SELECT to_jsonb(("+t.source+")) FROM "+s.table)
		var server *pgconn.PgError
		if errors.As(err, &server) {
			source := t.source
			if t.name == serving.NotLabelled {
				source = s.cfg.LabelledWhen
			}
			found.Errorf(s.labelPath(t), "it must be an SQL expression over the columns of the table", "%q: %s", source,
				server.Message)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// findWatermark reports a column that cannot be used as watermark. It warns if polling by the column is slow, or misses
// rows because the column may be NULL.
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
		WHERE a.attrelid = $1::text::regclass AND a.attname = $2`, s.table, column).Scan(&kind, &sqlType, &category,
		&nullable, &indexed, &ordered)
	if err != nil {
		return err
	}
	switch {
	case !ordered || category == "S":
		found.Errorf(path, "name a timestamp or a number that grows with each write",
			"column %q of table %s is %s, which does not order rows by the time of their last write", column, table, sqlType)
		return nil
	case kind != "r" && kind != "p":
		// A view has no index of its own.
	case !indexed:
		found.Warnf(path, fmt.Sprintf("CREATE INDEX CONCURRENTLY ON %s (%s)", s.table, ident(column)),
			"no index begins with column %q: each poll reads the whole table %s", column, table)
	}
	if nullable && kind == "r" {
		found.Warnf(path, fmt.Sprintf("ALTER TABLE %s ALTER %s SET NOT NULL", s.table, ident(column)),
			"rows of %s whose %q is NULL are seen only by the full compare", table, column)
	}
	return nil
}
