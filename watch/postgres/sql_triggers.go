package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

// The design of the triggers was chosen by measurements of single-row updates and of statements over 100,000 rows. An
// UPDATE is recorded by a row-level trigger with a column list, so that a statement that sets no watched column costs
// nothing. The trigger's function compares the values itself, because a WHEN condition is parsed again in each
// statement, which costs more than the call. Transition tables would make large updates cheaper, but PostgreSQL fills
// them for every small update too. Inserts and deletes always matter, so one statement-level trigger handles all their
// rows at once. Some tables need other forms of triggers; the function attach has these exceptions to the column list
// and to the statement-level triggers. The functions run as their owner, so that writers need no rights on the outbox.
// A caller must not be able to substitute another operator. So a function has a pinned search_path, or uses only fully
// qualified names, which avoids the cost of pinning, a fifth of the call.
//
// The cost of a call grows with the number of its expressions, because PL/pgSQL prepares them again in each
// transaction. So a row stores the raw settings that identify its writer, and the reader derives author and origin
// from these settings.

// SQL expressions for the session settings that contain the author and the origin of the session's changes. An
// application may set the author; retraind marks its own writes with the origin.
const (
	authorSetting = "pg_catalog.current_setting('retraind.author', true)"
	originSetting = "pg_catalog.current_setting('retraind.origin', true)"
)

// SQL expressions for the author and the origin of a row o of the outbox: the recorded ones if there are any. Otherwise
// the author is the session's user, and the origin is the session's application_name if that begins with OwnPrefix.
const (
	authorOfRow = "coalesce(nullif(o.author, ''), o.who, '')"
	originOfRow = "coalesce(nullif(o.origin, ''), CASE WHEN starts_with(o.app, '" + watch.OwnPrefix +
		"') THEN o.app END, '')"
)

// writtenKeySetting is the setting that contains the key of the row whose author column the statement has just
// written. An author column that the statement does not set names the previous writer, not the current one.
const writtenKeySetting = "retraind.wrote"

// author returns an SQL expression for the writer of a row: the setting retraind.author, or, if that is empty, the
// author column if this statement sets it.
func (s *schema) author(row string, update bool) string {
	if s.cfg.Author == "" || row == "" {
		return authorSetting
	}
	column := row + "." + ident(s.cfg.Author)
	value := column + "::pg_catalog.text"
	if update {
		value = fmt.Sprintf("CASE WHEN coalesce(pg_catalog.current_setting('%s', true) OPERATOR(pg_catalog.=) %s, false) OR NOT %s THEN %s END",
			writtenKeySetting, s.key(row), unchanged(s.cfg.Author), value)
	}
	return fmt.Sprintf("CASE WHEN %s OPERATOR(pg_catalog.<>) '' THEN %[1]s ELSE %s END", authorSetting, value)
}

// triggers returns the SQL of the functions and triggers of the model's table.
func (s *schema) triggers() string {
	var out strings.Builder
	for _, event := range events {
		fmt.Fprintf(&out, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger\n"+
			"LANGUAGE plpgsql SECURITY DEFINER%s AS $retraind$\n#variable_conflict use_column\n%s$retraind$;\n"+
			"REVOKE ALL ON FUNCTION %[1]s() FROM PUBLIC;\n\n", s.function(event), s.pinned(event), s.body(event))
	}
	if s.cfg.Author != "" {
		fmt.Fprintf(&out, "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $retraind$\nDECLARE\n  retraind_done text := pg_catalog.set_config('%s', %s, true);\n"+
			"BEGIN\n  RETURN NULL;\nEND $retraind$;\nREVOKE ALL ON FUNCTION %[1]s() FROM PUBLIC;\n\n", s.function("author"),
			writtenKeySetting, s.key("NEW"))
	}
	for _, event := range append([]string{"author"}, events...) {
		fmt.Fprintf(&out, "DROP TRIGGER IF EXISTS %s ON %s;\n", s.trigger(event), s.table)
	}
	out.WriteString(s.attach())
	return out.String()
}

// attach returns SQL that creates the triggers. The server chooses their form when it runs the SQL, because only the
// server knows the table.
func (s *schema) attach() string {
	create := func(event, when, how string) string {
		return fmt.Sprintf("EXECUTE %s || %s || %s;\n", literal(fmt.Sprintf("CREATE TRIGGER %s AFTER ", s.trigger(event))),
			when,
			literal(fmt.Sprintf(" ON %s %sEXECUTE FUNCTION %s()", s.table, how, s.function(event))))
	}
	var out strings.Builder
	fmt.Fprintf(&out, `
DO $retraind$ DECLARE
  -- Statement-level triggers see neither direct writes to a partition nor writes of a subscription.
  every_row CONSTANT boolean := EXISTS (SELECT FROM pg_class WHERE oid = %[1]s::regclass AND relkind = 'p')
    OR EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = %[1]s::regclass);
  columns text := '';
BEGIN
  -- A BEFORE trigger may change columns that the statement does not set; then every update is checked.
  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %[1]s::regclass AND NOT tgisinternal AND tgtype & 19 = 19) THEN
    -- Only the server knows which columns an expression reads: it records the dependencies of a view.
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
		// The author trigger's name sorts before that of the update trigger, so that it fires first for each row.
		out.WriteString("  " + create("author", literal("UPDATE OF "+ident(s.cfg.Author)), "FOR EACH ROW "))
		named = append([]string{"author"}, events...)
	}
	out.WriteString("END $retraind$;\n\n-- They also fire under session_replication_role = replica: data loaded that way changes labels too.\n")
	for _, event := range named {
		fmt.Fprintf(&out, "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s;\n", s.table, s.trigger(event))
	}
	return out.String()
}

// probed lists the expressions that the update trigger evaluates, over the only row in scope.
func (s *schema) probed() []string {
	var out []string
	for _, column := range append(append(unit.List(nil), s.cfg.ID...), s.cfg.Text...) {
		out = append(out, ident(column))
	}
	for _, t := range s.cfg.targets() {
		if columnName.MatchString(t.source) {
			out = append(out, ident(t.source))
		} else {
			out = append(out, "("+t.source+")")
		}
	}
	return out
}

// pinned returns the search_path clause of an event's function. It is empty if all names are fully qualified.
func (s *schema) pinned(event string) string {
	if event == "update" && !s.expressive() {
		return ""
	}
	return " SET search_path = pg_catalog, pg_temp"
}

// unchanged returns an SQL condition that is true if all the columns are equal in OLD and NEW. The condition compares
// them as text, which works for every type; for text columns the cast costs nothing.
func unchanged(columns ...string) string {
	parts := make([]string, 0, len(columns))
	for _, c := range columns {
		part := fmt.Sprintf("coalesce(OLD.%s::pg_catalog.text OPERATOR(pg_catalog.=) NEW.%[1]s::pg_catalog.text, OLD.%[1]s::pg_catalog.text IS NULL AND NEW.%[1]s::pg_catalog.text IS NULL)",
			ident(c))
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}

// expressive reports whether a label is an SQL expression, which may fail.
func (s *schema) expressive() bool {
	for _, t := range s.cfg.targets() {
		if !columnName.MatchString(t.source) {
			return true
		}
	}
	return false
}

// guarded wraps a function body so that errors of label expressions are caught and do not make the application's own
// write fail. Instead a marker row is written, which makes the daemon read the whole table and report the error.
//
// The block is a subtransaction. In a row-level function it must only evaluate, not write: a subtransaction that writes
// takes a transaction id of its own, and 65 of them in one transaction slow down every other session's snapshots.
func (s *schema) guarded(body string) string {
	if !s.expressive() {
		return body
	}
	return fmt.Sprintf("BEGIN\n  %s\nEXCEPTION WHEN OTHERS THEN\n  %s\nEND;", indented(body), s.failed("SQLERRM"))
}

// failed returns the SQL that writes the marker row for a label expression that failed with this message.
func (s *schema) failed(message string) string {
	return fmt.Sprintf("INSERT INTO %s (op, item) VALUES ('reread', 'a label expression failed: ' || %s);", s.outbox(), message)
}

// evaluated returns the PL/pgSQL that assigns expressions, which may fail, to variables of the function. After an error
// it sets retraind_failed to the error's message.
func (s *schema) evaluated(assignments ...string) string {
	return fmt.Sprintf("BEGIN\n  %s\nEXCEPTION WHEN OTHERS THEN\n  retraind_failed := SQLERRM;\nEND;",
		strings.Join(assignments, "\n  "))
}

// indented indents all lines of a text after the first by one more level.
func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

// body returns the text of an event's trigger function between the $retraind$ quotes.
func (s *schema) body(event string) string {
	into := "INSERT INTO " + s.outbox() + " (op, item, old, new, text_changed, author, origin)"
	switch event {
	case "insert":
		return s.allRows(into, "NEW", "retraind_new", "'insert', %s, NULL, %s, true, %s, %s")
	case "delete":
		return s.allRows(into, "OLD", "retraind_old", "'delete', %s, %s, NULL, false, %s, %s")
	case "truncate":
		return s.counted(fmt.Sprintf("%s\n  VALUES ('truncate', NULL, NULL, NULL, false, %s, %s);", into, s.author("", false),
			originSetting))
	}
	if s.expressive() {
		return s.expressed(into)
	}
	var labels []string
	for _, t := range s.targets {
		labels = append(labels, t.source)
	}
	values := func(text string) string {
		return fmt.Sprintf("('update', %s, %s, %s, %s, %s, %s)", s.key("NEW"), s.labels("OLD"), s.labels("NEW"), text,
			s.author("NEW", true), originSetting)
	}
	usual, text := unchanged(s.cfg.ID...), ""
	if len(s.cfg.Text) > 0 {
		usual += " AND " + unchanged(s.cfg.Text...)
		text = fmt.Sprintf("  ELSIF NOT %s THEN\n    %s\n    VALUES %s;\n", unchanged(s.cfg.Text...), into, values("true"))
	}
	return fmt.Sprintf(`BEGIN
  -- PostgreSQL prepares each expression again in every transaction; a changed label needs only two: this one and the last.
  IF %[11]s AND NOT %[5]s THEN
    %[2]s
    VALUES %[6]s;
  ELSIF NOT %[1]s THEN
    -- A changed key is recorded as a delete and an insert.
    %[2]s
    VALUES %[3]s;
%[4]s  ELSE
    RETURN NULL;
  END IF;
  IF %[12]s AND pg_catalog.currval(%[7]s::pg_catalog.regclass) OPERATOR(pg_catalog.%%) %[8]d OPERATOR(pg_catalog.<>) 0 THEN
    RETURN NULL;
  END IF;
  IF pg_catalog.currval(%[7]s::pg_catalog.regclass) OPERATOR(pg_catalog.%%) %[8]d OPERATOR(pg_catalog.=) 0 THEN
    PERFORM %[9]s(pg_catalog.currval(%[7]s::pg_catalog.regclass));
  END IF;
%[10]s  RETURN NULL;
END `, unchanged(s.cfg.ID...), into, s.rekeyed("NULL", s.labels("OLD"), s.labels("NEW")), text, unchanged(labels...),
		values("false"),
		literal(s.sequence()), boundEvery, s.function("bound"), s.notify(), usual, s.lockIsFree())
}

// allRows returns the text of the function for inserts or deletes, which records each row of the statement. values
// has four formatting verbs: for the item's key, its labels, the author and the origin.
func (s *schema) allRows(into, row, table, values string) string {
	author := func(row string) string {
		if table == "retraind_old" {
			row = "" // the column names who wrote the row, not who deleted it
		}
		return s.author(row, false)
	}
	insert := func(row, labels string) string {
		return fmt.Sprintf(values, s.key(row), labels, author(row), originSetting)
	}
	one := into + "\nVALUES (" + insert(row, s.labels(row)) + ");"
	var declared []string
	if s.expressive() {
		declared = []string{"retraind_labels jsonb", "retraind_failed text"}
		one = s.evaluated("retraind_labels := "+s.labels(row)+";") +
			"\nIF retraind_failed IS NOT NULL THEN\n  " + s.failed("retraind_failed") +
			"\nELSE\n  " + into + "\n  VALUES (" + insert(row, "retraind_labels") + ");\nEND IF;"
	}
	all := s.guarded(into + "\nSELECT " + insert("r", s.labels("r")) + " FROM " + table + " AS r;")
	both := "IF TG_LEVEL = 'ROW' THEN\n  " + indented(one) + "\nELSE\n  " + indented(all) + "\nEND IF;"
	return s.counted(indented(both), declared...)
}

// rekeyed returns the SQL of the two outbox rows for an item whose key changed.
func (s *schema) rekeyed(none, old, now string) string {
	by := s.author("NEW", true) + ", " + originSetting
	return fmt.Sprintf("('delete', %s, %s, %s, false, %s),\n      ('insert', %s, %[3]s, %[6]s, true, %[4]s)", s.key("OLD"),
		old, none, by, s.key("NEW"), now)
}

// expressed returns the text of the update trigger's function for the case that a label is an expression. It is unknown
// which columns the expression reads, and the expression may fail.
func (s *schema) expressed(into string) string {
	text := "false"
	if len(s.cfg.Text) > 0 {
		text = "NOT " + unchanged(s.cfg.Text...)
	}
	return s.counted(fmt.Sprintf(`-- Any change of the row may matter. This operator compares rows of any types.
  IF OLD OPERATOR(pg_catalog.*=) NEW THEN
    RETURN NULL;
  END IF;
  %[1]s
  IF retraind_failed IS NOT NULL THEN
    %[2]s
  ELSIF NOT %[3]s THEN
    -- A changed key is recorded as a delete and an insert.
    %[4]s
    VALUES %[5]s;
  ELSIF retraind_text OR retraind_old IS DISTINCT FROM retraind_new THEN
    %[4]s
    VALUES ('update', %[6]s, retraind_old, retraind_new, retraind_text, %[7]s, %[8]s);
  ELSE
    RETURN NULL;
  END IF;`, indented(s.evaluated("retraind_old := "+s.labels("OLD")+";", "retraind_new := "+s.labels("NEW")+";",
		"retraind_text := "+text+";")),
		s.failed("retraind_failed"), unchanged(s.cfg.ID...), into, s.rekeyed("NULL", "retraind_old", "retraind_new"),
		s.key("NEW"), s.author("NEW", true), originSetting),
		"retraind_old jsonb", "retraind_new jsonb", "retraind_text boolean", "retraind_failed text")
}

// counted appends the check of the outbox's bounds and the notification to the body of a function that writes rows.
func (s *schema) counted(work string, declared ...string) string {
	var declare strings.Builder
	for _, d := range append(declared, "retraind_rows bigint", "retraind_seq bigint") {
		declare.WriteString("  " + d + ";\n")
	}
	return fmt.Sprintf(`DECLARE
%[1]sBEGIN
  %[2]s
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval(%[3]s);
  IF retraind_seq %% %[4]d < retraind_rows THEN
    PERFORM %[5]s(retraind_seq);
  END IF;
%[6]s  RETURN NULL;
END `, declare.String(), work, literal(s.sequence()), boundEvery, s.function("bound"), s.notify())
}

// notify returns the SQL statement that wakes the listener. It notifies only while a listener holds the advisory
// lock, that is, while the listener blocks. At other times commits need not queue for NOTIFY's global lock. To test
// the advisory lock, the statement takes and releases it in one expression, which nothing can interrupt: a lock that
// is held until the commit would keep the listener from taking it. A writer may find the lock free and commit later;
// before the listener blocks, it polls the outbox until such writers have ended.
func (s *schema) notify() string {
	if !s.cfg.notifies() {
		return ""
	}
	return fmt.Sprintf(`  IF NOT %s THEN
    PERFORM pg_catalog.pg_notify(%s, '');
  END IF;
`, s.lockIsFree(), literal(channel(s.model)))
}

// lockIsFree returns an SQL expression that is true while no listener waits for a notification.
func (s *schema) lockIsFree() string {
	if !s.cfg.notifies() {
		return "true"
	}
	return fmt.Sprintf("(pg_catalog.pg_try_advisory_lock_shared(%[1]d, %[2]d) AND pg_catalog.pg_advisory_unlock_shared(%[1]d, %[2]d))",
		lockClass, lockObject(s.model))
}
