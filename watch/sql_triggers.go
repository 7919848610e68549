package watch

import (
	"fmt"
	"strings"
)

// Why these shapes (measured.md has the figures): inserts and deletes always matter, so one statement-level trigger
// handles all their rows at once. Updates mostly touch no label; a row-level trigger with WHEN costs those next to
// nothing, a statement-level one a quarter of the throughput. The functions run as their owner, so that writers need
// no rights on the outbox, with a pinned search_path, so that nobody can slip them another operator.

// origin and author of a change, as SQL. Settings win, because retraind marks its own writes with them.
const origin = `coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, '')`

func (s *schema) author(row string) string {
	column := ""
	if s.cfg.Author != "" && row != "" {
		column = row + "." + ident(s.cfg.Author) + "::text, "
	}
	return `coalesce(nullif(current_setting('retraind.author', true), ''), ` + column + `session_user::text)`
}

// triggers returns the functions and triggers of the model's table.
func (s *schema) triggers() string {
	var out strings.Builder
	for _, event := range events {
		fmt.Fprintf(&out, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger\n"+
			"LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$\n#variable_conflict use_column\n%s$retraind$;\n"+
			"REVOKE ALL ON FUNCTION %[1]s() FROM PUBLIC;\n", s.function(event), s.body(event))
		fmt.Fprintf(&out, "DROP TRIGGER IF EXISTS %s ON %s;\n", s.trigger(event), s.table)
		fmt.Fprintf(&out, "CREATE TRIGGER %s AFTER %s ON %s\n  %s EXECUTE FUNCTION %s();\n\n",
			s.trigger(event), strings.ToUpper(event), s.table, s.when(event), s.function(event))
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// when says how often and on which condition a trigger fires.
func (s *schema) when(event string) string {
	switch event {
	case "insert":
		return "REFERENCING NEW TABLE AS retraind_new FOR EACH STATEMENT"
	case "delete":
		return "REFERENCING OLD TABLE AS retraind_old FOR EACH STATEMENT"
	case "truncate":
		return "FOR EACH STATEMENT"
	}
	columns := append(append(Columns(nil), s.cfg.ID...), s.cfg.Text...)
	for _, t := range s.cfg.targets() {
		if !plain.MatchString(t.source) {
			// Which columns an expression reads is only known to the server. Any change of the row's image makes the
			// function compare the labels themselves. The operator is named in full, since it needs no equality of types.
			return "FOR EACH ROW WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*)"
		}
		columns = append(columns, t.source)
	}
	return "FOR EACH ROW WHEN (" + differ(columns) + ")"
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

// body is a trigger function's text between $retraind$.
func (s *schema) body(event string) string {
	source := literal(s.model)
	// The doorbell: while the listener is awake it holds the lock alone, so nobody rings and commits do not queue for
	// NOTIFY. While it sleeps the lock is free, and whoever writes shares it and rings. (One ringer for all would be
	// cheaper, but its transaction may last, or roll back, while the others' changes wait for its ring.)
	ring := fmt.Sprintf("IF pg_try_advisory_xact_lock_shared(%d, %d) THEN PERFORM pg_notify(%s, ''); END IF;",
		lockClass, lockObject(s.model), literal(channel(s.model)))
	const into = "INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)"
	switch event {
	case "insert":
		return fmt.Sprintf(`BEGIN
  %s
  SELECT %s, 'insert', %s, NULL, %s, true, %s, %s FROM retraind_new AS r;
  IF FOUND THEN
    %s
  END IF;
  RETURN NULL;
END `, into, source, s.key("r"), s.labels("r"), s.author("r"), origin, ring)
	case "delete":
		return fmt.Sprintf(`BEGIN
  %s
  SELECT %s, 'delete', %s, %s, NULL, false, %s, %s FROM retraind_old AS r;
  IF FOUND THEN
    %s
  END IF;
  RETURN NULL;
END `, into, source, s.key("r"), s.labels("r"), s.author(""), origin, ring)
	case "truncate":
		return fmt.Sprintf(`BEGIN
  %s
  VALUES (%s, 'truncate', NULL, NULL, NULL, false, %s, %s);
  %s
  RETURN NULL;
END `, into, source, s.author(""), origin, ring)
	}
	// A new key is a delete and an insert.
	return fmt.Sprintf(`DECLARE
  retraind_old jsonb := %[2]s;
  retraind_new jsonb := %[3]s;
  retraind_key text := %[5]s;
  retraind_text boolean := %[6]s;
BEGIN
  IF %[4]s IS DISTINCT FROM retraind_key THEN
    %[1]s
    VALUES (%[7]s, 'delete', %[4]s, retraind_old, NULL, false, %[8]s, %[9]s),
      (%[7]s, 'insert', retraind_key, NULL, retraind_new, true, %[8]s, %[9]s);
  ELSIF retraind_text OR retraind_old IS DISTINCT FROM retraind_new THEN
    %[1]s
    VALUES (%[7]s, 'update', retraind_key, retraind_old, retraind_new, retraind_text, %[8]s, %[9]s);
  ELSE
    RETURN NULL;
  END IF;
  %[10]s
  RETURN NULL;
END `, into, s.labels("OLD"), s.labels("NEW"), s.key("OLD"), s.key("NEW"), differ(s.cfg.Text), source, s.author("NEW"), origin, ring)
}
