package postgres

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/watch"
)

// long returns n if RETRAIND_LONG asks for the complete test, and few otherwise.
func long(few, n int) int {
	if os.Getenv("RETRAIND_LONG") == "1" {
		return n
	}
	return few
}

// TestLabelsOfAnyContent: whatever people and programs write into a label column arrives unchanged.
func TestLabelsOfAnyContent(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	source, _ := b.start()
	b.ready()
	for i, label := range []any{
		nil, "", " ", "'; DROP TABLE items; --", "$(rm -rf /)", `{"op": "delete"}`, "[1", "null", "a\nb\tc\x01", "\u202eabc",
		"Ä", "A\u0308", strings.Repeat("x", 1<<20),
	} {
		b.exec(`INSERT INTO items (id, title, category) VALUES ($1, 't', 'before')`, i)
		b.exec(`UPDATE items SET category = $2, updated_at = 'infinity' WHERE id = $1`, i, label)
	}
	b.exec(`UPDATE items SET updated_at = '2999-01-01' WHERE id = 2`)
	b.sink.equalsTable(t, "m", b.cfg)
	if h := source.Health(); !h.Up || b.sink.full != 1 {
		t.Errorf("health %+v, %d full reads", h, b.sink.full)
	}
}

// TestEncodings: labels and texts arrive as valid text even from a database whose encoding is not UTF-8, or that has
// none.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			migration, err := Migration("m", itemsConfig("host=x"))
			if err != nil {
				t.Fatal(err)
			}
			pgtest.Database(t) // starts the shared cluster
			name := "enc_" + strings.ToLower(encoding)
			admin := connect(t, pgtest.Shared().DSN("postgres"))
			if _, err := admin.Exec(t.Context(),
				fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'", name,
					encoding)); err != nil {
				t.Fatal(err)
			}
			cfg := itemsConfig(pgtest.Shared().DSN(name))
			b := &bundle{t: t, cfg: cfg, sink: newMemory(), conn: connect(t, cfg.DSN)}
			if _, err := b.conn.PgConn().Exec(t.Context(), itemsSQL+";"+migration).ReadAll(); err != nil {
				t.Fatal(err)
			}
			source, _ := b.start()
			b.ready()
			// One byte of invalid UTF-8, from a client that sets no encoding.
			b.exec(`SET client_encoding = 'SQL_ASCII'`)
			b.exec(`INSERT INTO items (id, title, category) VALUES (1, convert_from('\x6be4', 'SQL_ASCII'), 'x')`)
			b.exec(`UPDATE items SET category = convert_from('\x6be4', 'SQL_ASCII')`)
			b.sink.until(t, "both changes", func() bool { return len(b.sink.changes) == 2 })
			b.sink.equalsTable(t, "m", b.cfg)
			for _, c := range b.sink.log() {
				for _, text := range []string{c.New["label"], c.Text["title"]} {
					if !utf8.ValidString(text) {
						t.Errorf("%q is no text", text)
					}
				}
			}
			if h := source.Health(); !h.Up {
				t.Errorf("health %+v", h)
			}
		})
	}
}

// TestLabelsOfTexts: text labels arrive unchanged, and null is absent.
func TestLabelsOfTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOfN(rapid.String(),
			rapid.OneOf(rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Just(any(nil))), 1, 4).Draw(t,
			"labels")
		raw, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		want := watch.Labels{}
		for name, value := range object {
			if s, ok := value.(string); ok {
				want[name] = s
			}
		}
		text := string(raw)
		got, err := (&schema{}).parseLabels(&text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s:\n%s", text, diff)
		}
	})
}
