package watch

import (
	"fmt"
	"strings"
)

// Why these shapes (measured on single-row updates and on statements over 100,000 rows): an UPDATE is recorded by a
// row-level trigger with a column list, so that a statement that names no watched column costs nothing at all, and by
// a function that compares for itself: a WHEN condition is parsed anew in each statement, which costs more than the
// call. Transition tables would make large updates cheaper, but are kept for every small one too. Inserts and deletes
// always matter, so one statement-level trigger handles all their rows at once. The functions run as their owner, so
// that writers need no rights on the outbox, with a pinned search_path, so that nobody can slip them another operator.

// origin and author of a change, as SQL. Settings win, because retraind marks its own writes with them.
const origin = `coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, '')`

// wrote is the setting that names the row whose author column the statement has just written. What an application
// leaves as it was says who wrote the row before, not who does now.
const wrote = "retraind.wrote"

// author is who wrote a row: a setting, the author's column where this write has set it, or the session's user.
func (s *schema) author(row string) string {
	column := ""
	if s.cfg.Author != "" {
		name := ident(s.cfg.Author)
		switch row {
		case "":
		case "NEW":
			column = fmt.Sprintf("CASE WHEN TG_OP = 'INSERT' OR current_setting('%s', true) = %s OR OLD.%[3]s::text IS DISTINCT FROM NEW.%[3]s::text THEN NEW.%[3]s::text END, ", wrote, s.key("NEW"), name)
		default:
			column = row + "." + name + "::text, "
		}
	}
	return `coalesce(nullif(current_setting('retraind.author', true), ''), ` + column + `session_user::text)`
}

// triggers returns the functions and triggers of the model's table.
func (s *schema) triggers() string {
	var out strings.Builder
	for _, event := range events {
		fmt.Fprintf(&out, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger\n"+
			"LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$\n#variable_conflict use_column\n%s$retraind$;\n"+
			"REVOKE ALL ON FUNCTION %[1]s() FROM PUBLIC;\n\n", s.function(event), s.body(event))
	}
	if s.cfg.Author != "" {
		fmt.Fprintf(&out, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $retraind$\nDECLARE\n  retraind_done text := pg_catalog.set_config('%s', %s, true);\n"+
			"BEGIN\n  RETURN NULL;\nEND $retraind$;\nREVOKE ALL ON FUNCTION %[1]s() FROM PUBLIC;\n\n", s.function("author"), wrote, s.key("NEW"))
	}
	for _, event := range append([]string{"author"}, events...) {
		fmt.Fprintf(&out, "DROP TRIGGER IF EXISTS %s ON %s;\n", s.trigger(event), s.table)
	}
	out.WriteString(s.attach())
	return out.String()
}

// attach creates the triggers in the shape that the table needs, which only the server knows.
func (s *schema) attach() string {
	create := func(event, when, how string) string {
		return fmt.Sprintf("EXECUTE %s || %s || %s;\n", literal(fmt.Sprintf("CREATE TRIGGER %s AFTER ", s.trigger(event))), when,
			literal(fmt.Sprintf(" ON %s %sEXECUTE FUNCTION %s()", s.table, how, s.function(event))))
	}
	var out strings.Builder
	fmt.Fprintf(&out, `
DO $retraind$ DECLARE
  -- Statement-level triggers see neither what is written to a partition directly nor what a subscription applies.
  every_row CONSTANT boolean := EXISTS (SELECT FROM pg_class WHERE oid = %[1]s::regclass AND relkind = 'p')
    OR EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = %[1]s::regclass);
  columns text := '';
BEGIN
  -- A BEFORE trigger may change columns that the statement does not name; then every update is looked at.
  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %[1]s::regclass AND NOT tgisinternal AND tgtype & 19 = 19) THEN
    -- Only the server knows which columns an expression reads: a view of it depends on them.
    CREATE TEMPORARY VIEW retraind_probe AS SELECT %[2]s FROM %[3]s AS r;
    SELECT ' OF ' || string_agg(DISTINCT quote_ident(a.attname), ', ') INTO columns FROM pg_rewrite AS w
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE w.ev_class = 'pg_temp.retraind_probe'::regclass AND d.refobjid = %[1]s::regclass AND d.refobjsubid > 0;
    DROP VIEW pg_temp.retraind_probe;
  END IF;
  IF every_row THEN
    %[4]s    %[5]s  ELSE
    %[6]s    %[7]s  END IF;
  %[8]s  %[9]s`, literal(s.table), strings.Join(numbered(s.probed()), ", "), s.table,
		create("insert", "'INSERT'", "FOR EACH ROW "), create("delete", "'DELETE'", "FOR EACH ROW "),
		create("insert", "'INSERT'", "REFERENCING NEW TABLE AS retraind_new FOR EACH STATEMENT "),
		create("delete", "'DELETE'", "REFERENCING OLD TABLE AS retraind_old FOR EACH STATEMENT "),
		create("update", "'UPDATE' || columns", "FOR EACH ROW "), create("truncate", "'TRUNCATE'", "FOR EACH STATEMENT "))
	named := events
	if s.cfg.Author != "" {
		// Its name sorts before that of the update's trigger, so that it is fired first for each row.
		out.WriteString("  " + create("author", literal("UPDATE OF "+ident(s.cfg.Author)), "FOR EACH ROW "))
		named = append([]string{"author"}, events...)
	}
	out.WriteString("END $retraind$;\n\n-- They fire under session_replication_role = replica too: what loads data that way changes labels as well.\n")
	for _, event := range named {
		fmt.Fprintf(&out, "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;\n", s.table, s.trigger(event))
	}
	return out.String()
}

// probed lists what the update's trigger depends on, as expressions over the only row in scope.
func (s *schema) probed() []string {
	var out []string
	for _, column := range append(append(Columns(nil), s.cfg.ID...), s.cfg.Text...) {
		out = append(out, ident(column))
	}
	for _, t := range s.cfg.targets() {
		if plain.MatchString(t.source) {
			out = append(out, ident(t.source))
		} else {
			out = append(out, "("+t.source+")")
		}
	}
	return out
}

// differ is true when a column differs between OLD and NEW. As text every type can be compared; for text it is free.
func differ(columns []string) string {
	parts := make([]string, 0, len(columns))
	seen := map[string]bool{}
	for _, c := range columns {
		if !seen[c] {
			parts = append(parts, fmt.Sprintf("OLD.%s::text IS DISTINCT FROM NEW.%[1]s::text", ident(c)))
		}
		seen[c] = true
	}
	return strings.Join(parts, " OR ")
}

// expressive tells whether a label is an SQL expression, which may fail.
func (s *schema) expressive() bool {
	for _, t := range s.cfg.targets() {
		if !plain.MatchString(t.source) {
			return true
		}
	}
	return false
}

// guarded keeps a label expression that fails from making the application's own write fail: a row says so, and the
// daemon, which then reads the whole table, fails instead and tells why.
func (s *schema) guarded(body string) string {
	if !s.expressive() {
		return body
	}
	return fmt.Sprintf(`BEGIN
    %s
  EXCEPTION WHEN OTHERS THEN
    INSERT INTO %s (op, item) VALUES ('reread', 'a label expression failed: ' || SQLERRM);
  END;`, strings.ReplaceAll(body, "\n", "\n  "), s.outbox())
}

// body is a trigger function's text between $retraind$.
func (s *schema) body(event string) string {
	into := "INSERT INTO " + s.outbox() + " (op, item, old, new, text_changed, author, origin)"
	declare, work := "", ""
	switch event {
	case "insert":
		work = s.guarded(fmt.Sprintf(`IF TG_LEVEL = 'ROW' THEN
    %[1]s
    VALUES ('insert', %[2]s, NULL, %[3]s, true, %[4]s, %[5]s);
  ELSE
    %[1]s
    SELECT 'insert', %[6]s, NULL, %[7]s, true, %[8]s, %[5]s FROM retraind_new AS r;
  END IF;`, into, s.key("NEW"), s.labels("NEW"), s.author("NEW"), origin, s.key("r"), s.labels("r"), s.author("r")))
	case "delete":
		work = s.guarded(fmt.Sprintf(`IF TG_LEVEL = 'ROW' THEN
    %[1]s
    VALUES ('delete', %[2]s, %[3]s, NULL, false, %[4]s, %[5]s);
  ELSE
    %[1]s
    SELECT 'delete', %[6]s, %[7]s, NULL, false, %[4]s, %[5]s FROM retraind_old AS r;
  END IF;`, into, s.key("OLD"), s.labels("OLD"), s.author(""), origin, s.key("r"), s.labels("r")))
	case "truncate":
		work = fmt.Sprintf("%s\n  VALUES ('truncate', NULL, NULL, NULL, false, %s, %s);", into, s.author(""), origin)
	case "update":
		columns := append(append(Columns(nil), s.cfg.ID...), s.cfg.Text...)
		for _, t := range s.cfg.targets() {
			if plain.MatchString(t.source) {
				columns = append(columns, t.source)
			}
		}
		nothing := "NOT (" + differ(columns) + ")"
		if s.expressive() {
			// Any change of the row's image may matter. The operator is named in full, since it needs no equality of types.
			nothing = "OLD OPERATOR(pg_catalog.*=) NEW"
		}
		declare = fmt.Sprintf(`  retraind_old jsonb;
  retraind_new jsonb;
  retraind_text boolean := %s;
`, differ(s.cfg.Text))
		// A new key is a delete and an insert.
		work = fmt.Sprintf("IF %s THEN\n    RETURN NULL;\n  END IF;\n  ", nothing) + s.guarded(fmt.Sprintf(`retraind_old := %[2]s;
  retraind_new := %[3]s;
  IF %[4]s IS DISTINCT FROM %[5]s THEN
    %[1]s
    VALUES ('delete', %[4]s, retraind_old, NULL, false, %[6]s, %[7]s),
      ('insert', %[5]s, NULL, retraind_new, true, %[6]s, %[7]s);
  ELSIF retraind_text OR retraind_old IS DISTINCT FROM retraind_new THEN
    %[1]s
    VALUES ('update', %[5]s, retraind_old, retraind_new, retraind_text, %[6]s, %[7]s);
  ELSE
    RETURN NULL;
  END IF;`, into, s.labels("OLD"), s.labels("NEW"), s.key("OLD"), s.key("NEW"), s.author("NEW"), origin))
	}
	// The doorbell: while the listener is awake it holds the lock alone, so nobody rings and commits do not queue for
	// NOTIFY. While it sleeps the lock is free, and whoever writes shares it and rings. (One ringer for all would be
	// cheaper, but its transaction may last, or roll back, while the others' changes wait for its ring.)
	return fmt.Sprintf(`DECLARE
%[1]s  retraind_rows bigint;
  retraind_seq bigint;
BEGIN
  %[2]s
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval(%[3]s);
  IF retraind_seq %% %[4]d < retraind_rows THEN
    PERFORM %[5]s(retraind_seq);
  END IF;
  IF pg_try_advisory_xact_lock_shared(%[6]d, %[7]d) THEN
    PERFORM pg_notify(%[8]s, '');
  END IF;
  RETURN NULL;
END `, declare, work, literal(s.sequence()), boundEvery, s.function("bound"), lockClass, lockObject(s.model), literal(channel(s.model)))
}
