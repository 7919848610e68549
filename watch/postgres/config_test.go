package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	if found := itemsConfig("postgres://u:p@h/d").Validate(); len(found) > 0 {
		t.Fatalf("the configuration that the cases spoil is bad itself: %v", found)
	}
	var out strings.Builder
	for _, c := range []struct {
		name  string
		spoil func(*Config)
	}{
		{"nothing", func(c *Config) { *c = Config{} }},
		{"two dsn", func(c *Config) { c.DSNFile = "x" }},
		{"bad dsn", func(c *Config) { c.DSN = "postgres://u:hunter2@h:port/d" }},
		{"bad keyword", func(c *Config) { c.DSN = "password=hunter2 nonsense" }},
		{"table of three parts", func(c *Config) { c.Table = "db.public.items" }},
		{"open quote", func(c *Config) { c.Table = `"items` }},
		{"long column", func(c *Config) { c.ID = unit.List{strings.Repeat("ä", 32)} }},
		{"column twice", func(c *Config) { c.Text = unit.List{"title", "content", "title"} }},
		{"label and targets", func(c *Config) { c.Targets = map[string]string{"a": "b"} }},
		{"two statements", func(c *Config) { c.Label = "x; DROP TABLE items" }},
		{"comment", func(c *Config) { c.Label = "x -- y" }},
		{"leaves its place", func(c *Config) { c.Label = "x)) FROM y" }},
		{"dollar quote", func(c *Config) { c.Label = "$retraind$" }},
		{"quote", func(c *Config) { c.Label = "x = 'y" }},
		{"empty target", func(c *Config) { c.Label, c.Targets = "", map[string]string{"a": " "} }},
		{"poll", func(c *Config) { c.Poll = unit.Duration(time.Millisecond) }},
	} {
		cfg := itemsConfig("postgres://u:p@h/d")
		c.spoil(cfg)
		found := cfg.Validate()
		if len(found) == 0 {
			t.Errorf("%s was accepted", c.name)
		}
		fmt.Fprintf(&out, "## %s\n%s\n", c.name, render(found))
	}
	golden(t, "validate.txt", out.String())
	if strings.Contains(out.String(), "hunter2") {
		t.Error("the password is in a message")
	}
}

func TestParseTable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]pgx.Identifier{
		"items": {"public", "items"}, "App.Items": {"App", "Items"}, `"a.b"`: {"public", "a.b"}, `"a.b".c`: {"a.b", "c"},
		`a."b""c"`: {"a", `b"c`}, "my table": {"public", "my table"},
	} {
		got, err := parseTable(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a.b.c", `a"b`, `"a"b`, `"a`, `""`, "a\x00"} {
		if got, err := parseTable(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

func TestParseTableReadsWhatWasQuoted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[^\x00]{1,15}`)
		want := pgx.Identifier{name.Draw(t, "schema"), name.Draw(t, "table")}
		got, err := parseTable(want.Sanitize())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCanonicalLabels(t *testing.T) {
	t.Parallel()
	text := `{"a": "x", "b": null, "c": true, "d": ["z", "a", "z", null], "e": 1.50, "f": [], "g": ""}`
	got, err := (&schema{}).parseLabels(&text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(watch.Labels{"a": "x", "c": "true", "d": `["a","z"]`, "e": "1.50", "f": "[]", "g": ""},
		got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"a": {"b": 1}}`, `[]`, `{`} {
		if got, err := (&schema{}).parseLabels(&bad); err == nil {
			t.Errorf("%s was read as %v", bad, got)
		}
	}
}

// TestSQL compares the generated SQL with golden files.
func TestSQL(t *testing.T) {
	t.Parallel()
	cfg := &Config{
		DSN: "host=x", Table: "app.items", ID: unit.List{"id"}, Text: unit.List{"title", "content"}, Author: "updated_by",
		Targets: map[string]string{"priority": "priority", "relevant": "priority <> 'none'"},
	}
	for name, text := range map[string]func() (string, error){
		"migration.sql": func() (string, error) { return Migration("relevance", cfg) },
		"down.sql":      func() (string, error) { return Down("relevance", cfg) },
		"grants.sql":    func() (string, error) { return Grants("relevance", cfg, "retraind") },
	} {
		sql, err := text()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, sql)
	}
	if _, err := Migration(strings.Repeat("m", 60), cfg); err == nil {
		t.Error("a trigger name of more than 63 bytes was made")
	}
}

func TestDSNFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dsn")
	cfg := &Config{DSNFile: path}
	for _, text := range []string{"host=a", "host=b"} {
		if err := os.WriteFile(path, []byte(" "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := cfg.connString(); err != nil || got != text {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// TestTranslatedMessages: the cause of an error is found if the server's messages are in another language.
func TestTranslatedMessages(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*pgconn.PgError{
		"row security hides rows of table items": {Code: "42501", File: "rls.c", Message: "Anfrage würde beeinflusst"},
		"is a standby":                           {Code: "55000", File: "xlogfuncs.c", Message: "Wiederherstellung läuft"},
	} {
		if got := explain(itemsConfig("host=x"), err); !strings.Contains(got.Error(), want) {
			t.Errorf("%v, want %q", got, want)
		}
	}
}

func TestDSNFileWithoutPermission(t *testing.T) {
	t.Parallel()
	err := explain(&Config{DSNFile: "/etc/retraind/pg-dsn"},
		&fs.PathError{Op: "open", Path: "/etc/retraind/pg-dsn", Err: syscall.EACCES})
	var fault *watch.Fault
	if !errors.As(err, &fault) || !fault.Permanent || fault.Key != "dsn_file" ||
		!strings.Contains(fault.Cure, "LoadCredential=") {
		t.Errorf("got %#v", err)
	}
}
