package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
)

// meaningChanged is the reason for a full read after a change of the definitions from which labels are computed.
const meaningChanged = "something that labels or texts are computed from was changed (a type, an enum's value, a collation, a function or a generated column)"

// functionsOf is a recursive query for the database's functions that a text mentions, and for the functions that
// those functions mention. Functions are matched by name, so another function of the same name may be included: the
// cost is one needless full read.
const functionsOf = `functions(oid, body) AS (
    SELECT p.oid, p.prosrc FROM pg_proc AS p
    WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND strpos(lower(%[1]s), lower(p.proname)) > 0
    UNION
    SELECT p.oid, p.prosrc FROM functions AS f JOIN pg_proc AS p
      ON p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND (strpos(lower(f.body), lower(p.proname)) > 0 OR EXISTS (SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid))
  )`

// meaning returns an SQL expression for a digest of everything outside the row that determines its labels and texts:
// the types of the columns with enum values and field names, collations, generated columns, the text of a view, and
// the functions that any of these or a label expression calls. A change of any of them can change labels without
// changing a row.
func (s *schema) meaning() string {
	table, expression := literal(s.table), literal(s.expressionText())
	watched := fmt.Sprintf("a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND (a.attname = ANY (%s::text[]) OR strpos(lower(%s), lower(a.attname)) > 0)",
		table, textArray(s.spelledColumns()), expression)
	made := fmt.Sprintf(`concat_ws(' ', %[1]s,
      (SELECT string_agg(pg_get_expr(d.adbin, d.adrelid), ' ' ORDER BY a.attnum) FROM pg_attribute AS a
        JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attgenerated <> '' AND %[2]s),
      (SELECT pg_get_viewdef(c.oid) FROM pg_class AS c WHERE c.oid = %[3]s::regclass AND c.relkind IN ('v', 'm')))`,
		expression, watched, table)
	return fmt.Sprintf(`(%[1]s, made(text) AS (SELECT %[2]s), %[3]s
  SELECT md5(concat_ws(' ', made.text, (SELECT string_agg(part, ',' ORDER BY part) FROM (
    SELECT 'e' || e.oid::text || ':' || e.enumlabel AS part FROM kinds JOIN pg_enum AS e ON e.enumtypid = kinds.oid
    UNION ALL
    SELECT 'f' || a.attrelid::text || ':' || a.attnum::text || ':' || a.attname FROM kinds JOIN pg_type AS t ON t.oid = kinds.oid
      JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'a' || a.attname || ':' || a.atttypid::text || ':' || a.atttypmod::text || ':' || a.attcollation::text || ':' || coalesce(c.collversion, '')
      FROM pg_attribute AS a LEFT JOIN pg_collation AS c ON c.oid = a.attcollation WHERE %[4]s
    UNION ALL
    SELECT 'p' || p.oid::text || ':' || md5(p.prosrc || coalesce(to_jsonb(p) ->> 'prosqlbody', '')) FROM functions JOIN pg_proc AS p USING (oid)
  ) AS parts))) FROM made)`,
		fmt.Sprintf(nestedTypes, table, textArray(s.spelledColumns()), expression), made,
		fmt.Sprintf(functionsOf, "(SELECT text FROM made)"), watched)
}

// findVolatile warns of label expressions whose functions may read data outside the row.
func (s *schema) findVolatile(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	if !s.expressive() {
		return nil
	}
	var names []string
	err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT p.proname::text), '{}') FROM pg_proc AS p
		WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		AND p.provolatile <> 'i' AND $1::text ~ ('(?i)\m' || regexp_replace(p.proname, '\W', '.', 'g') || '"?\s*\(')`,
		s.expressionText()).Scan(&names)
	if err == nil && len(names) > 0 {
		path := "targets"
		if s.cfg.Label != "" {
			path = "label"
		}
		found.Warnf(path, "declare each such function IMMUTABLE if it reads only its arguments",
			"label expressions call %s, which may read data outside the row: changes of that data are seen only when the whole table is read",
			strings.Join(names, ", "))
	}
	return err
}
