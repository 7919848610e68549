package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/unit"
)

// lockClass ("rtrd" in ASCII) is the first half of the key of the advisory lock that a listener holds while it waits.
// The second half is different for each source.
const lockClass = 0x72747264

// lockObject returns the second half of the key of a source's advisory lock.
func lockObject(source string) int32 {
	h := fnv.New32a()
	h.Write([]byte(source)) // never fails
	return int32(h.Sum32())
}

// channel returns the name of the notification channel of a source.
func channel(source string) string { return "retraind_" + source }

// Migration returns the SQL that installs what the capture of a model's table needs in the watched database: triggers
// and outbox, or publication and slot. For capture: poll the SQL contains only comments. The table's owner must run the
// SQL. It can be run again, even after a change of the configuration.
func Migration(model string, cfg *Config) (string, error) {
	s, err := newSchema(model, cfg)
	if err != nil {
		return "", err
	}
	switch cfg.capture() {
	case CaptureLogical:
		return s.publish(), nil
	case CapturePoll:
		return s.nothingToInstall(), nil
	}
	var out strings.Builder
	fmt.Fprintf(&out, "-- retraind: record the label changes of %s for the model %s.\n", s.table, model)
	out.WriteString("-- Undo with the output of: retraind init sql --down\n")
	out.WriteString("-- To rename a watched column or change its type: run that output, migrate, and run this file again.\n\nBEGIN;\n")
	out.WriteString("-- Give up rather than block the table's writers while waiting for a lock.\nSET LOCAL lock_timeout = '5s';\n")
	out.WriteString("SET LOCAL search_path = pg_catalog, pg_temp;\n\n")
	out.WriteString(s.trialRun())
	for _, part := range []string{
		commonSQL, s.outboxSQL(), "\n", s.triggers(), "\n", s.pinSettings(), s.registerSQL(),
		"\nCOMMIT;\n",
	} {
		out.WriteString(part)
	}
	return out.String(), nil
}

// Down returns the SQL that removes everything that Migration created for a model. For capture: outbox it also removes
// the schema retraind once no model uses it.
func Down(model string, cfg *Config) (string, error) {
	s, err := newSchema(model, cfg)
	if err != nil {
		return "", err
	}
	switch cfg.capture() {
	case CaptureLogical:
		return s.unpublish(), nil
	case CapturePoll:
		return fmt.Sprintf("-- retraind: capture poll of %s for the model %s has installed nothing.\n", s.table, model), nil
	}
	var out strings.Builder
	fmt.Fprintf(&out, "-- retraind: stop recording the label changes of %s for the model %s.\n\nBEGIN;\n\n", s.table,
		model)
	for _, event := range append([]string{"author"}, events...) {
		fmt.Fprintf(&out, "DROP TRIGGER IF EXISTS %s ON %s;\n", s.trigger(event), s.table)
		fmt.Fprintf(&out, "DROP FUNCTION IF EXISTS %s();\n", s.function(event))
	}
	fmt.Fprintf(&out, `DROP FUNCTION IF EXISTS %[2]s(xid8, timestamptz);
DROP FUNCTION IF EXISTS %[3]s(bigint);
DROP TABLE IF EXISTS %[4]s;
DELETE FROM retraind.sources WHERE source = %[1]s;

DO $retraind$
BEGIN
  IF NOT EXISTS (SELECT FROM retraind.sources) THEN
    DROP TABLE retraind.sources;
    DROP SCHEMA retraind;
  END IF;
END $retraind$;

COMMIT;
`, literal(model), s.function("prune"), s.function("bound"), s.outbox())
	return out.String(), nil
}

// events are the kinds of statements. Each kind has a trigger, because a trigger with transition tables can handle only
// one kind.
var events = []string{"insert", "update", "delete", "truncate"}

// schema generates the parts of a model's SQL.
type schema struct {
	model   string
	cfg     *Config
	ident   pgx.Identifier
	table   string // quoted
	targets []target
	padded  map[string]bool // targets whose values the server pads with blanks, true for arrays; nil before learnPadding
}

func newSchema(model string, cfg *Config) (*schema, error) {
	if err := checkName("retraind_" + model + "_truncate"); err != nil {
		return nil, fmt.Errorf("model %q: %w", model, err)
	}
	for _, p := range cfg.Validate() {
		// The SQL does not depend on the connection string, so errors in it are ignored.
		if !p.Warning && p.Path != "dsn" && p.Path != "dsn_file" {
			return nil, fmt.Errorf("labels.postgres.%s: %s", p.Path, p.Message)
		}
	}
	name, err := parseTable(cfg.Table)
	if err != nil {
		return nil, err
	}
	return &schema{model: model, cfg: cfg, ident: name, table: name.Sanitize(), targets: cfg.targets()}, nil
}

func (s *schema) trigger(event string) string  { return ident("retraind_" + s.model + "_" + event) }
func (s *schema) function(event string) string { return ident("retraind", s.model+"_"+event) }

// definition returns the digest of what the triggers record. Migration stores the digest, so that triggers of another
// configuration are detected. The digest does not depend on how the SQL is written.
func (s *schema) definition() string {
	h := sha256.New()
	// %q keeps lists apart; writing to a hash never fails. The first number is the version of the notification
	// method.
	fmt.Fprintf(h, "2 %q %q %q %q", []string(s.ident), s.cfg.ID, s.cfg.Text, s.cfg.Author)
	for _, t := range s.cfg.targets() {
		fmt.Fprintf(h, " %q=%q", t.name, t.source)
	}
	if !s.cfg.notifies() {
		fmt.Fprint(h, " silent")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// labelDefinition returns a text that identifies how a stored label was computed: the digest of what the triggers
// record, and the rules of labels.normalize.
func (s *schema) labelDefinition() string {
	if s.cfg.Normalized == "" {
		return s.definition()
	}
	return s.definition() + " " + s.cfg.Normalized
}

// readColumns lists the columns that the configuration names and that retraind's role reads, each once. Columns that
// only an expression names are missing, because only the server knows which columns an expression reads.
func (s *schema) readColumns() []string {
	names := append(append(unit.List{s.cfg.UpdatedAt}, s.cfg.ID...), s.cfg.Text...)
	for _, t := range s.cfg.targets() {
		if columnName.MatchString(t.source) {
			names = append(names, t.source)
		}
	}
	if s.cfg.capture() != CaptureOutbox {
		names = append(names, s.cfg.Author, s.cfg.Watermark) // the triggers run as their owner and need no grant
	}
	var out []string
	for _, name := range names {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// trialRun returns SQL that evaluates the triggers' expressions over up to 1,000 rows at installation. Without it, a
// label expression that fails would be noticed only at the application's next write.
func (s *schema) trialRun() string {
	parts := []string{s.key("r"), s.labels("r")}
	for _, column := range append(unit.List{s.cfg.Author}, s.cfg.Text...) {
		if column != "" {
			parts = append(parts, "r."+ident(column)+"::text")
		}
	}
	return fmt.Sprintf(`DO $retraind$ BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE oid = %[1]s::regclass AND relkind NOT IN ('r', 'p')) THEN
    RAISE 'triggers can record label changes only of tables, not of views or foreign tables: %%', %[1]s;
  END IF;
  IF EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent WHERE %[1]s::regclass IN (inhparent, inhrelid)
    AND NOT (inhparent = %[1]s::regclass AND relkind = 'p')) THEN
    RAISE 'triggers cannot record label changes of a single partition or of a table with inheritance: %%', %[1]s;
  END IF;
%[4]s  PERFORM %[2]s
  FROM (SELECT * FROM %[3]s LIMIT 1000) AS r;
END $retraind$;

`, literal(s.table), strings.Join(parts, ", "), s.table, s.warnOfPrepared())
}

// warnOfPrepared returns SQL that warns at installation if the triggers notify on a server that allows prepared
// transactions.
func (s *schema) warnOfPrepared() string {
	if !s.cfg.notifies() {
		return ""
	}
	return `  IF current_setting('max_prepared_transactions')::int > 0 THEN
    RAISE WARNING 'PREPARE TRANSACTION fails after a label change that wakes retraind: if the application uses it, set labels.postgres.notify: false and run this SQL again';
  END IF;
`
}

// key returns an SQL expression for a row's key as text.
func (s *schema) key(row string) string {
	if len(s.cfg.ID) == 1 {
		return row + "." + ident(s.cfg.ID[0]) + "::pg_catalog.text"
	}
	parts := make([]string, len(s.cfg.ID))
	for i, column := range s.cfg.ID {
		parts[i] = row + "." + ident(column)
	}
	return "pg_catalog.jsonb_build_array(" + strings.Join(parts, ", ") + ")::pg_catalog.text"
}

// value returns an SQL expression for one label of a row, as an element of a jsonb object. A label expression is
// evaluated over a subquery of the row, so that bare column names refer to that row.
func value(row string, t target) string {
	if columnName.MatchString(t.source) {
		return row + "." + ident(t.source) // jsonb_build_object converts it
	}
	return "(SELECT to_jsonb((" + t.source + ")) FROM (SELECT " + row + ".*) AS retraind_row)"
}

// labels returns an SQL expression for a row's labels as one jsonb object.
func (s *schema) labels(row string) string {
	return s.object(func(t target) string { return value(row, t) })
}

// ownLabels returns the same expression as labels, but for the only row in scope. The expression reads only columns
// that the label expressions name, because a reader may have no rights on other columns.
func (s *schema) ownLabels() string {
	return s.object(func(t target) string {
		if columnName.MatchString(t.source) {
			return ident(t.source)
		}
		return "to_jsonb((" + t.source + "))"
	})
}

// ownLabel returns an SQL expression for one label of the only row in scope, as JSON text. jsonb costs several times
// as much as json but formats some numbers differently, so only text values use json.
func ownLabel(t target) string {
	if !columnName.MatchString(t.source) {
		return "to_jsonb((" + t.source + "))::text"
	}
	column := ident(t.source)
	return "CASE WHEN pg_typeof(" + column + ") IN ('text'::regtype, 'varchar'::regtype) THEN to_json(" + column +
		")::text ELSE to_jsonb(" + column + ")::text END"
}

func (s *schema) object(value func(target) string) string {
	var parts []string
	for _, t := range s.cfg.targets() {
		parts = append(parts, literal(t.name)+", "+value(t))
	}
	return "pg_catalog.jsonb_build_object(" + strings.Join(parts, ", ") + ")"
}
