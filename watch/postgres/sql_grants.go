package postgres

import (
	"fmt"
	"strings"
)

// KeptRole returns the SQL comment that follows the output of Down. The comment explains why the role is kept, and how
// to drop it.
func KeptRole(role string) string {
	return fmt.Sprintf("-- The role %[1]s is not dropped: other models and databases may use it. To drop it, DROP OWNED BY %[1]s\n-- in each database, then DROP ROLE %[1]s.\n",
		ident(role))
}

// Grants returns the SQL that gives a role what retraind needs to follow a model's table: SELECT on the columns that it
// reads, and what the capture needs. The outbox needs SELECT and the right to prune its rows that were read, logical
// needs REPLICATION, and poll needs nothing more. The SQL also makes the role's sessions read-only and sets timeouts. A
// missing role is created without a password, so it cannot log in with one until one is set.
func Grants(model string, cfg *Config, role string) (string, error) {
	s, err := newSchema(model, cfg)
	if err != nil {
		return "", err
	}
	if err := checkName(role); err != nil {
		return "", fmt.Errorf("role: %w", err)
	}
	var columns, expressions []string
	for _, name := range s.readColumns() {
		columns = append(columns, ident(name))
	}
	for _, t := range cfg.targets() {
		if !columnName.MatchString(t.source) {
			expressions = append(expressions, "("+t.source+")")
		}
	}
	quoted := ident(role)
	var out strings.Builder
	fmt.Fprintf(&out, `-- retraind: what the role %[1]s may read for the model %[2]s.
-- Run it after the migration, as a user who may create roles and owns the table. Set the password yourself:
-- \password %[1]s

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $retraind$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %[3]s) THEN
    CREATE ROLE %[1]s LOGIN NOINHERIT CONNECTION LIMIT 8;
  END IF;
END $retraind$;
ALTER ROLE %[1]s SET default_transaction_read_only = on;
ALTER ROLE %[1]s SET search_path = pg_catalog;
ALTER ROLE %[1]s SET statement_timeout = '60s';
ALTER ROLE %[1]s SET lock_timeout = '2s';
ALTER ROLE %[1]s SET idle_in_transaction_session_timeout = '10s';

GRANT USAGE ON SCHEMA %[4]s TO %[1]s;
%[7]sGRANT SELECT (%[5]s) ON %[6]s TO %[1]s;
`, quoted, model, literal(role), ident(s.ident[0]), strings.Join(columns, ", "), s.table, s.captureGrants(quoted))
	if cfg.capture() == CapturePoll {
		out.WriteString(s.grantXmin(quoted))
	}
	if len(expressions) > 0 {
		// Only the server knows which columns an expression reads, so the SQL creates a temporary view and reads the
		// dependencies that the server has recorded for it.
		fmt.Fprintf(&out, `
DO $retraind$ DECLARE
  col name;
BEGIN
  CREATE TEMPORARY VIEW retraind_probe AS SELECT %s FROM %s;
  FOR col IN
    SELECT DISTINCT a.attname FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE r.ev_class = 'pg_temp.retraind_probe'::regclass AND d.refobjid = %s::regclass AND d.refobjsubid > 0
  LOOP
    EXECUTE format('GRANT SELECT (%%I) ON %%s TO %%I', col, %[3]s::regclass, %s);
  END LOOP;
  DROP VIEW pg_temp.retraind_probe;
END $retraind$;
`, strings.Join(numbered(expressions), ", "), s.table, literal(s.table), literal(role))
	}
	out.WriteString("\nCOMMIT;\n")
	return out.String(), nil
}

// grantXmin returns the SQL that grants a role the right to read xmin, the id of the transaction that wrote a row, which
// shows whether the row was read before. A view has no xmin.
func (s *schema) grantXmin(role string) string {
	return fmt.Sprintf(`DO $retraind$ BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = %[1]s::regclass AND attname = 'xmin') THEN
    GRANT SELECT (xmin) ON %[2]s TO %[3]s;
  END IF;
END $retraind$;
`, literal(s.table), s.table, role)
}

// captureGrants returns the SQL that grants the rights that a capture needs in addition to those on the table.
func (s *schema) captureGrants(role string) string {
	switch s.cfg.capture() {
	case CaptureLogical:
		return fmt.Sprintf(`-- Needs a superuser. The role can then decode every change of this database, also of tables that it may not SELECT;
-- physical replication stays closed as long as pg_hba.conf has no "replication" line for it.
ALTER ROLE %s REPLICATION;
`, role)
	case CapturePoll:
		return ""
	}
	return fmt.Sprintf(`GRANT USAGE ON SCHEMA retraind TO %[1]s;
GRANT SELECT ON %[2]s, retraind.sources TO %[1]s;
GRANT EXECUTE ON FUNCTION %[3]s(xid8, timestamptz) TO %[1]s;
`, role, s.outbox(), s.function("prune"))
}

// numbered adds an alias to each expression, as column names of a view.
func numbered(expressions []string) []string {
	out := make([]string, len(expressions))
	for i, e := range expressions {
		out[i] = fmt.Sprintf("%s AS e%d", e, i)
	}
	return out
}
