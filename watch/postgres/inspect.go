package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/watch"
)

const runInit = "run the SQL that retraind init wrote, as the table's owner"

// Check asks the server whether a model's table can be followed. The paths of its findings are keys of the postgres
// section.
func Check(ctx context.Context, model string, cfg *Config) check.Problems {
	schema, err := newSchema(model, cfg)
	if err != nil {
		return watch.ProblemOf(err)
	}
	conn, err := dial(ctx, cfg)
	if err != nil {
		return watch.ProblemOf(err)
	}
	found, _, err := inspect(ctx, conn, schema)
	return append(found, watch.ProblemOf(explain(cfg, errors.Join(err, conn.Close(ctx))))...)
}

// inspect compares the configuration with the server's catalog. It also returns the SQL types of the table's columns,
// unless a finding ended the inspection early. The error is set only when the server could not be queried.
func inspect(ctx context.Context, conn *pgx.Conn, s *schema) (found check.Problems, columns map[string]string, err error) {
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, nil, err
	}
	if version < 130000 {
		found.Errorf("dsn", "use PostgreSQL 13 or newer", "the server is PostgreSQL %d", version/10000)
		return found, nil, nil
	}
	columns, stop, err := s.findTable(ctx, conn, &found)
	if err != nil || stop {
		return found, nil, err
	}
	if missing := s.findColumns(columns, &found); len(missing) > 0 {
		return found, nil, s.findRenamed(ctx, conn, missing, found)
	}
	if hidden, err := s.findRowSecurity(ctx, conn, &found); err != nil || hidden {
		return found, nil, err
	}
	probes := []func(context.Context, *pgx.Conn, *check.Problems) error{
		s.findExpressions, s.findTriggers, s.findRights, s.findVolatile, s.findKey,
	}
	switch s.cfg.capture() {
	case CaptureLogical:
		probes[1] = s.findPublication
	case CapturePoll:
		probes[1] = s.findWatermark
	}
	probes = append(probes, func(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
		if found.HasErrors() {
			return nil
		}
		return s.learnPadding(ctx, conn)
	})
	for _, probe := range probes {
		if err := probe(ctx, conn, &found); err != nil {
			return found, nil, err
		}
	}
	return found, columns, nil
}

// inspected returns the SQL types of the table's columns, or the first fault that prevents following the table. It
// turns a warning about missed changes into a notice.
func (s *Source) inspected(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	found, columns, err := inspect(ctx, conn, s.schema)
	if err != nil {
		return nil, err
	}
	missed := ""
	for _, p := range found {
		if !p.Warning {
			return nil, &watch.Fault{Key: p.Path, Cause: p.Message, Cure: p.Hint, Permanent: true}
		}
		if p.Path == "table" { // only a warning, but changes are missed
			missed = p.Message + " (" + p.Hint + ")"
		}
	}
	s.notice(&s.missed, missed)
	return columns, nil
}

// probe connects once and inspects.
func (s *Source) probe(ctx context.Context) error {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return err
	}
	defer s.closeConn(conn)
	_, err = s.inspected(ctx, conn)
	return explain(s.cfg, err)
}

// databaseOf returns the name of a connection's database. If the connection string names none, it is the user's name.
func databaseOf(conn *pgx.Conn) string { return cmp.Or(conn.Config().Database, conn.Config().User) }

// keyTypes returns the SQL types of the key columns.
func (s *schema) keyTypes(columns map[string]string) []string {
	types := make([]string, len(s.cfg.ID))
	for i, column := range s.cfg.ID {
		types[i] = columns[column]
	}
	return types
}

// findRights reports rights that the connection's user lacks.
func (s *schema) findRights(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	if err := may(ctx, conn, found, "SELECT has_schema_privilege($1, 'USAGE')", "use the schema "+s.ident[0],
		s.ident[0]); err != nil || found.HasErrors() {
		return err
	}
	for _, column := range s.readColumns() {
		if err := may(ctx, conn, found, "SELECT has_column_privilege($1::text, $2::text, 'SELECT')",
			fmt.Sprintf("read column %q of table %s", column, strings.Join(s.ident, ".")), s.table, column); err != nil {
			return err
		}
	}
	return nil
}

// findRowSecurity reports a table whose row security hides rows from the connection's user.
func (s *schema) findRowSecurity(ctx context.Context, conn *pgx.Conn, found *check.Problems) (hidden bool, err error) {
	err = conn.QueryRow(ctx, "SELECT row_security_active($1::text::regclass)", s.table).Scan(&hidden)
	if hidden {
		user := conn.Config().User
		found.Errorf("table", rowSecurityCure(user), "row security hides rows of table %s from user %q",
			strings.Join(s.ident, "."), user)
	}
	return hidden, err
}

// may asks the server whether the user has a right, and adds a finding if the user lacks it.
func may(ctx context.Context, conn *pgx.Conn, found *check.Problems, question, right string, args ...any) error {
	var yes bool
	if err := conn.QueryRow(ctx, question, args...).Scan(&yes); err != nil {
		return err
	}
	if !yes {
		found.Errorf("table", grantHint(conn.Config().User), "user %q may not %s", conn.Config().User, right)
	}
	return nil
}

// findKey warns when two rows may have the same key.
func (s *schema) findKey(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var unique bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
		AND (SELECT bool_and(a.attname = ANY ($2::text[])) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k))`,
		s.table, []string(s.cfg.ID)).Scan(&unique)
	if err == nil && !unique {
		found.Warnf("id", "add a primary key or a unique index", "two rows of %s may have the same %s: no unique index covers it",
			strings.Join(s.ident, "."), strings.Join(s.cfg.ID, ", "))
	}
	return err
}
