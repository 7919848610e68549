package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
)

// textSetting is a session setting that affects the text form of some types. Retraind uses the given value wherever
// it converts a key, a label or a text column: in the triggers and in all its connections. So a value has one text
// form, independent of the writer's session.
type textSetting struct{ name, value, types string }

// onlyFormats marks settings that affect no type but affect functions such as to_char in label expressions.
const onlyFormats = ""

// textSettings lists these settings. DateStyle contains no order of day and month, because that only affects parsing.
var textSettings = []textSetting{
	{"TimeZone", "UTC", "timestamptz"},
	{"DateStyle", "ISO", "date,timestamp,timestamptz"},
	{"IntervalStyle", "postgres", "interval"},
	{"extra_float_digits", "1", "float4,float8,path,polygon,circle"},
	{"bytea_output", "hex", "bytea"},
	{"lc_monetary", "C", "money"},
	{"quote_all_identifiers", "off", namedObjects},
	{"lc_time", "C", onlyFormats},
	{"lc_numeric", "C", onlyFormats},
}

// namedObjects are the types whose text form is the name of a database object.
const namedObjects = "regclass,regtype,regproc,regprocedure,regoper,regoperator,regrole,regnamespace,regconfig," +
	"regdictionary,regcollation"

// nestedTypes is a recursive query for the types of columns and the types that they consist of: elements of
// arrays, base types of domains, fields of composite types, bounds of ranges. The placeholders are the table, an
// array of column names and the text of expressions, whose columns are found by name.
const nestedTypes = `WITH RECURSIVE kinds(oid) AS (
    SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = %[1]s::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attname = ANY (%[2]s::text[]) OR strpos(lower(%[3]s), lower(a.attname)) > 0)
    UNION
    SELECT part.oid FROM kinds JOIN pg_type AS t ON t.oid = kinds.oid CROSS JOIN LATERAL (
      SELECT t.typelem UNION ALL SELECT t.typbasetype
      UNION ALL SELECT a.atttypid FROM pg_attribute AS a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE r.rngtypid = t.oid
    ) AS part(oid) WHERE part.oid <> 0
  )`

// settingsQuery returns the query for the names and values of the settings that affect the text form of the watched
// columns. User-defined types, and expressions with conversions or calls, may depend on any setting.
func (s *schema) settingsQuery() string {
	var values strings.Builder
	for i, t := range textSettings {
		if t.types == onlyFormats && !s.formats() {
			continue
		}
		if i > 0 {
			values.WriteString(", ")
		}
		fmt.Fprintf(&values, "(%s, %s, %s::text[])", literal(t.name), literal(literal(t.value)), literal("{"+t.types+"}"))
	}
	// Object names are written with their schema if the schema is not in search_path.
	fmt.Fprintf(&values, ", ('search_path', 'pg_catalog, pg_temp', '{%s}')", namedObjects)
	return fmt.Sprintf(nestedTypes, literal(s.table), textArray(s.spelledColumns()), literal(s.expressionText())) +
		fmt.Sprintf(`
  SELECT s.name, s.value FROM (VALUES %s) AS s(name, value, types)
  WHERE %t OR EXISTS (SELECT FROM kinds JOIN pg_type AS t ON t.oid = kinds.oid WHERE CASE
    WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname = ANY (s.types) OR t.typtype = 'm'
    ELSE t.typtype = 'm' OR t.typtype = 'b' AND t.typelem = 0 AND t.typcategory <> 'S' END)`,
			values.String(), s.converts())
}

// spelledColumns lists the columns whose values a trigger converts to text.
func (s *schema) spelledColumns() []string {
	var names []string
	for _, name := range s.readColumns() {
		if name != s.cfg.UpdatedAt {
			names = append(names, name)
		}
	}
	for _, name := range append([]string{s.cfg.Author}, s.cfg.ID...) {
		if name != "" {
			names = append(names, name)
		}
	}
	for _, name := range s.cfg.Text {
		names = append(names, name)
	}
	for _, t := range s.targets {
		if columnName.MatchString(t.source) {
			names = append(names, t.source)
		}
	}
	return names
}

// expressionText returns the concatenated text of all label expressions.
func (s *schema) expressionText() string {
	var all []string
	for _, t := range s.targets {
		if !columnName.MatchString(t.source) {
			all = append(all, t.source)
		}
	}
	return strings.Join(all, " ")
}

// converts reports whether a label expression converts a value or calls a function.
func (s *schema) converts() bool {
	text := strings.ToLower(s.expressionText())
	return strings.Contains(text, "::") || strings.Contains(text, "cast") || calls.MatchString(text)
}

// plainCalls are functions whose result is the same whatever the session's locale is, and keywords that may precede a
// parenthesis.
var plainCalls = map[string]bool{
	"coalesce": true, "nullif": true, "greatest": true, "least": true, "in": true, "any": true, "all": true, "and": true,
	"or": true, "not": true, "when": true, "then": true, "else": true, "case": true, "cast": true, "lower": true,
	"upper": true, "trim": true, "btrim": true, "ltrim": true, "rtrim": true, "replace": true, "concat": true, "left": true,
	"right": true, "substring": true, "substr": true, "split_part": true, "array_remove": true, "array_append": true,
	"array_to_string": true, "string_to_array": true, "cardinality": true, "exists": true, "select": true, "text": true,
	"varchar": true, "char": true, "numeric": true, "decimal": true,
}

// formats reports whether a label expression calls a function that may write names of months or decimal points
// according to the session's locale: to_char, or a function that retraind does not know.
func (s *schema) formats() bool {
	for _, call := range calledNames.FindAllStringSubmatch(strings.ToLower(s.expressionText()), -1) {
		if !plainCalls[call[1]] {
			return true
		}
	}
	return false
}

// pinSettings returns the SQL that makes the trigger functions format text like all other parts of retraind. Each
// setting costs some time per call, so only settings that matter for the table are pinned.
func (s *schema) pinSettings() string {
	functions := []string{s.function("insert"), s.function("update"), s.function("delete")}
	if s.cfg.Author != "" {
		functions = append(functions, s.function("author"))
	}
	return fmt.Sprintf(`-- The recorded text must not depend on the formats of dates, times and numbers in the writer's session.
DO $retraind$ DECLARE
  setting record;
  function text;
BEGIN
  FOR setting IN %s
  LOOP
    FOREACH function IN ARRAY %s::text[] LOOP
      EXECUTE format('ALTER FUNCTION %%s() SET %%I = %%s', function, setting.name, setting.value);
    END LOOP;
  END LOOP;
END $retraind$;

`, s.settingsQuery(), textArray(functions))
}

// findSettings reports triggers whose text format depends on the writer's session.
func (s *schema) findSettings(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var missing string
	err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT coalesce(string_agg(DISTINCT w.name, ', '), '') FROM (%s) AS w, pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
		WHERE g.tgrelid = $1::text::regclass AND g.tgname = ANY ($2::text[])
		AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE lower(split_part(c, '=', 1)) = lower(w.name))`,
		s.settingsQuery()),
		s.table,
		[]string{
			"retraind_" + s.model + "_insert", "retraind_" + s.model + "_update",
			"retraind_" + s.model + "_delete",
		}).Scan(&missing)
	if err == nil && missing != "" {
		found.Errorf("table", runInit,
			"the triggers of table %s format keys or labels according to settings of the writer's session (%s): changes by sessions with other settings are lost",
			strings.Join(s.ident, "."), missing)
	}
	return err
}

// textArray returns an array of texts as SQL.
func textArray(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v)
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]"
}

// setSession sets session settings by a statement, because poolers refuse start-up parameters. If local is true, the
// settings end with the transaction. A role's statement_timeout would abort the read of a long backlog, so it is
// removed. With row_security off, the server refuses a query if it would have to filter the rows.
func setSession(ctx context.Context, conn *pgx.Conn, local bool) error {
	set := []string{"('search_path', 'pg_catalog')", "('statement_timeout', '0')", "('row_security', 'off')"}
	for _, t := range textSettings {
		set = append(set, fmt.Sprintf("(%s, %s)", literal(t.name), literal(t.value)))
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_catalog.set_config(s.name, s.value, %t) FROM (VALUES %s) AS s(name, value)",
		local, strings.Join(set, ", ")))
	return err
}

// beginRead begins a transaction that sees the table in its current state. On a pooled connection the backend may
// have changed, so beginRead applies the session settings again.
func beginRead(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	tx, err := conn.BeginTx(ctx, repeatableRead)
	if err != nil {
		return nil, err
	}
	return tx, setSession(ctx, conn, true)
}
