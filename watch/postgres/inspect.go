package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

const runInit = "run the SQL that retraind init wrote, as the table's owner"

// Check asks the server whether a model's table can be followed: for check, doctor and init. The paths of its findings
// are keys of the postgres section.
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

// inspect compares what is configured with what the server has. It returns the SQL types of the table's columns too,
// and an error only when it could not ask.
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
	probes := []func(context.Context, *pgx.Conn, *check.Problems) error{s.findExpressions, s.findTriggers, s.findRights, s.findKey}
	switch s.cfg.capture() {
	case CaptureLogical:
		probes[1] = s.findPublication
	case CapturePoll:
		probes[1] = s.findWatermark
	}
	for _, probe := range probes {
		if err := probe(ctx, conn, &found); err != nil {
			return found, nil, err
		}
	}
	return found, columns, nil
}

// inspected returns the SQL types of the table's columns, or the first fault that keeps it from being followed.
func (s *Source) inspected(ctx context.Context, conn *pgx.Conn) (map[string]string, error) {
	found, columns, err := inspect(ctx, conn, s.schema)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		if !p.Warning {
			return nil, &watch.Fault{Key: p.Path, Cause: p.Message, Cure: p.Hint, Permanent: true}
		}
	}
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

// keyTypes returns the SQL types of the key columns.
func (s *schema) keyTypes(columns map[string]string) []string {
	types := make([]string, len(s.cfg.ID))
	for i, column := range s.cfg.ID {
		types[i] = columns[column]
	}
	return types
}

// refusedKinds are relations that not every capture can follow: what they are called, why, and what to do.
var refusedKinds = map[string]struct{ word, why, cure string }{
	"v": {"a view", "no trigger sees", "name the table that holds the labels, or set capture: poll"},
	"m": {"a materialized view", "no trigger sees", "name the table that holds the labels, or set capture: poll"},
	"f": {"a foreign table", "happen on another server", "watch it in the database where it lives, or set capture: poll"},
	"p": {"a partitioned table", "this capture cannot follow", "set capture: outbox"},
	"i": {"tied to KIN by partitioning or inheritance", "may go by way of it", "name KIN if that is the partitioned table, or turn the inheritance into partitions"},
}

// findTable returns the table's columns with their types.
func (s *schema) findTable(ctx context.Context, conn *pgx.Conn, found *check.Problems) (columns map[string]string, stop bool, err error) {
	var kind, kin string
	err = conn.QueryRow(ctx, `SELECT CASE WHEN kin <> '' THEN 'i' ELSE c.relkind::text END, kin
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
		LATERAL (SELECT coalesce((SELECT min(concat_ws('.', kn.nspname, k.relname)) FROM pg_inherits i JOIN pg_class k ON k.oid = CASE WHEN i.inhrelid = c.oid THEN i.inhparent ELSE i.inhrelid END
			JOIN pg_namespace kn ON kn.oid = k.relnamespace WHERE i.inhrelid = c.oid OR i.inhparent = c.oid AND c.relkind = 'r'), '') AS kin) AS k
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, s.ident[0], s.ident[1]).Scan(&kind, &kin)
	if errors.Is(err, pgx.ErrNoRows) {
		hint := "correct labels.postgres.table"
		var others []string
		rows, err := conn.Query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'retraind')
			ORDER BY n.nspname <> $1, c.relname LIMIT 8`, s.ident[0])
		if err == nil {
			others, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return nil, true, err
		}
		if len(others) > 0 {
			hint += "; there are " + strings.Join(others, ", ")
		}
		found.Errorf("table", hint, "database %q has no table %s", conn.Config().Database, strings.Join(s.ident, "."))
		return nil, true, nil
	}
	if err != nil {
		return nil, true, err
	}
	if refused, ok := refusedKinds[kind]; ok && !s.cfg.capture().follows(kind) {
		named := strings.NewReplacer("KIN", kin)
		found.Errorf("table", named.Replace(refused.cure), "%s is %s, whose label changes %s", strings.Join(s.ident, "."), named.Replace(refused.word), refused.why)
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
		if plain.MatchString(t.source) {
			want(s.labelPath(t), t.source)
		}
	}
	want("author", s.cfg.Author)
	want("updated_at", s.cfg.UpdatedAt)
	want("watermark", s.cfg.Watermark)
	return missing
}

// findRenamed says where the triggers still name a missing column, which the last problems are about in this order: then
// it is the application that suffers, not only the watch.
func (s *schema) findRenamed(ctx context.Context, conn *pgx.Conn, missing []string, found check.Problems) error {
	if s.cfg.capture() != CaptureOutbox {
		return nil
	}
	var bodies string
	err := conn.QueryRow(ctx, `SELECT coalesce(string_agg(p.prosrc, ' '), '') FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
		WHERE t.tgrelid = $1::text::regclass AND t.tgname = ANY ($2)`, s.table, []string{"retraind_" + s.model + "_insert", "retraind_" + s.model + "_update"}).Scan(&bodies)
	if err != nil {
		return err
	}
	for i, column := range missing {
		if strings.Contains(bodies, "."+ident(column)) {
			p := &found[len(found)-len(missing)+i]
			p.Hint = "writes of this table fail, because the triggers name the column: name it so again, or correct the configuration and run the SQL of `retraind init sql` as the table's owner; " + p.Hint
		}
	}
	return nil
}

func (s *schema) labelPath(t target) string {
	if s.cfg.Label != "" {
		return "label"
	}
	return "targets." + t.name
}

// findExpressions lets the server parse the label expressions.
func (s *schema) findExpressions(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	for _, t := range s.cfg.targets() {
		if plain.MatchString(t.source) {
			continue
		}
		_, err := conn.Prepare(ctx, "", "SELECT to_jsonb(("+t.source+")) FROM "+s.table)
		var server *pgconn.PgError
		if errors.As(err, &server) {
			found.Errorf(s.labelPath(t), "it must be an SQL expression over the columns of the table", "%q: %s", t.source, server.Message)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// findTriggers reports triggers that are missing, switched off, or of another configuration.
func (s *schema) findTriggers(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	table := strings.Join(s.ident, ".")
	var installed bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'retraind' AND c.relname = $1)", s.model+"_outbox").Scan(&installed)
	if err != nil {
		return err
	}
	if !installed {
		found.Errorf("table", runInit, "database %q does not record label changes yet: it has no table retraind.%s_outbox", conn.Config().Database, s.model)
		return nil
	}
	wanted := events
	if s.cfg.Author != "" {
		wanted = append([]string{"author"}, events...)
	}
	var missing, disabled []string
	for _, event := range wanted {
		var enabled string
		err := conn.QueryRow(ctx, "SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $2", s.table, "retraind_"+s.model+"_"+event).Scan(&enabled)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			missing = append(missing, event)
		case err != nil:
			return err
		case enabled != "O" && enabled != "A":
			disabled = append(disabled, event)
		}
	}
	if len(missing) > 0 {
		found.Errorf("table", runInit, "table %s has no trigger of retraind for %s", table, strings.Join(missing, ", "))
		return nil
	}
	if len(disabled) > 0 {
		found.Errorf("table", fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", s.table, s.trigger(disabled[0])), "the trigger of table %s for %s is disabled", table, strings.Join(disabled, ", "))
		return nil
	}
	if err := may(ctx, conn, found, "SELECT has_schema_privilege('retraind', 'USAGE') AND has_table_privilege('retraind.sources', 'SELECT') AND has_table_privilege($1, 'SELECT')", "read the tables of the schema retraind", s.outbox()); err != nil || len(*found) > 0 {
		return err
	}
	// The migration chose the triggers' shape by what it found.
	var before string
	var subscribed bool
	err = conn.QueryRow(ctx, `SELECT coalesce((SELECT min(b.tgname) FROM pg_trigger AS b JOIN pg_trigger AS u ON u.tgrelid = b.tgrelid AND u.tgname = $2 AND u.tgattr::text <> ''
			WHERE b.tgrelid = $1::text::regclass AND NOT b.tgisinternal AND b.tgtype & 19 = 19), ''),
		EXISTS (SELECT FROM pg_subscription_rel JOIN pg_trigger ON tgrelid = srrelid AND tgname = $3 AND tgtype & 1 = 0 WHERE srrelid = $1::text::regclass)`,
		s.table, "retraind_"+s.model+"_update", "retraind_"+s.model+"_insert").Scan(&before, &subscribed)
	switch {
	case err != nil:
		return err
	case before != "":
		found.Errorf("table", "run the SQL that retraind init wrote again, as the table's owner: it then looks at every update", "table %s has got a BEFORE trigger, %s, which may change labels unseen", table, before)
		return nil
	case subscribed:
		found.Errorf("table", "run the SQL that retraind init wrote again, as the table's owner: it then looks at every row", "table %s is now filled by a subscription, which statement-level triggers do not see", table)
		return nil
	}
	var definition string
	var bounds Outbox
	var size, age int64
	err = conn.QueryRow(ctx, "SELECT definition, max_rows, max_size, extract(epoch FROM max_age)::bigint FROM retraind.sources WHERE source = $1", s.model).Scan(&definition, &bounds.Rows, &size, &age)
	bounds.Size, bounds.Age = unit.Size(size), unit.Duration(time.Duration(age)*time.Second)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && definition != s.definition():
		found.Errorf("table", runInit, "the triggers of table %s belong to another configuration of %s", table, s.model)
	case err != nil:
		return err
	case bounds != s.cfg.bounds():
		found.Warnf("outbox", runInit, "the installed bounds of the outbox are %d rows, %s and %s", bounds.Rows, bounds.Size, bounds.Age)
	}
	return nil
}

// findRights reports what the connection's user may not read.
func (s *schema) findRights(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	if err := may(ctx, conn, found, "SELECT has_schema_privilege($1, 'USAGE')", "use the schema "+s.ident[0], s.ident[0]); err != nil || len(*found) > 0 {
		return err
	}
	for _, column := range s.reads() {
		if err := may(ctx, conn, found, "SELECT has_column_privilege($1::text, $2::text, 'SELECT')", fmt.Sprintf("read column %q of table %s", column, strings.Join(s.ident, ".")), s.table, column); err != nil {
			return err
		}
	}
	return nil
}

// may adds a finding when the server answers no.
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

// findKey warns when nothing keeps two rows from having one key.
func (s *schema) findKey(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var unique bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
		AND (SELECT bool_and(a.attname = ANY ($2::text[])) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k))`,
		s.table, []string(s.cfg.ID)).Scan(&unique)
	if err == nil && !unique {
		found.Warnf("id", "add a primary key or a unique index", "nothing keeps two rows of %s from having the same %s", strings.Join(s.ident, "."), strings.Join(s.cfg.ID, ", "))
	}
	return err
}
