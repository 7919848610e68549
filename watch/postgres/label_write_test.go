package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/watch"
)

func TestCheckStatement(t *testing.T) {
	t.Parallel()
	names := []string{"id", "label", "origin", "answer"}
	for statement, says := range map[string]string{
		"update items set category = @label where id = @id":                   "",
		"insert into hints values (@id, @label, @answer::jsonb)":              "",
		"update items set category = '@x @label', by = @label where id = @id": "",
		" ":                                  "it is empty",
		"update items set category = @label": "does not use @id",
		"update items set category = 'x' where id = @id":          "writes no label",
		"update items set category = @lable where id = @id":       "none of @id, @label, @origin, @answer",
		"update items set category = '@label' where id = @id":     "writes no label",
		"update items set category = $1 where id = @id -- @label": "writes no label",
	} {
		err := CheckStatement(statement, names)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// Values are written under the run's origin, only into rows that are free when they are locked. A second call writes
// only rows that are still free.
func TestWriteRows(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) SELECT g, 't' || g, CASE WHEN g % 10 = 0 THEN 'person''s' END FROM generate_series(1, 500) g`)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1001, '"; drop table items --', NULL)`)
	dsn := filepath.Join(t.TempDir(), "write-dsn")
	if err := os.WriteFile(dsn, []byte(b.cfg.DSN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := Write{DSNFile: dsn, Statement: `UPDATE public.items SET category = @label WHERE id = @id`, Origin: watch.OriginOf("r1")}
	var rows []Values
	for i := 1; i <= 500; i++ {
		rows = append(rows, Values{ID: fmt.Sprint(i), With: map[string]any{"label": fmt.Sprintf("m'%d\"; --", i%3)}})
	}
	rows = append(rows, Values{ID: "1001", With: map[string]any{"label": nil}},
		Values{ID: "gone", With: map[string]any{"label": "x"}})
	free := func(it watch.Item) bool { return it.Labels["label"] == "" }

	// Another transaction has locked a row.
	other, err := b.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), "UPDATE items SET category = 'by hand' WHERE id = 7"); err != nil {
		t.Fatal(err)
	}
	got, err := WriteRows(t.Context(), "m", b.cfg, w, rows, free)
	if want := (Written{Rows: 450, Taken: 52}); err != nil || got != want {
		t.Fatalf("%+v, want %+v: %v", got, want, err)
	}
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := WriteRows(t.Context(), "m", b.cfg, w, rows, free); err != nil || got.Rows != 1 {
		t.Fatalf("again: %+v, %v", got, err)
	}
	for query, want := range map[string]int{
		`SELECT count(*) FROM items WHERE category = 'person''s'`:                               50,
		`SELECT count(*) FROM items WHERE category LIKE 'm''_"; --'`:                            449,
		`SELECT count(*) FROM items WHERE id = 7 AND category = 'by hand'`:                      1,
		`SELECT count(*) FROM retraind.m_outbox WHERE origin = 'retraind:r1' AND op = 'update'`: 449,
	} {
		var n int
		if err := b.conn.QueryRow(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, want %d, %v", query, n, want, err)
		}
	}
}

func TestWriteRowsFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title) SELECT g, 't' || g FROM generate_series(1, 5) g`)
	dsn := filepath.Join(t.TempDir(), "write-dsn")
	if err := os.WriteFile(dsn, []byte(b.cfg.DSN), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []Values{{ID: "1", With: map[string]any{"label": "x"}}, {ID: "2", With: map[string]any{"label": "y"}}}
	all := func(watch.Item) bool { return true }
	for statement, says := range map[string]string{
		"UPDATE public.items SET category = @label WHERE id >= @id":                  "row 1: the statement writes 5 rows",
		"UPDATE public.items SET nothing = @label WHERE id = @id":                    "lacks a column",
		"UPDATE public.items SET category = @label WHERE id = @id; DROP TABLE items": "multiple commands",
	} {
		_, err := WriteRows(t.Context(), "m", b.cfg, Write{DSNFile: dsn, Statement: statement, Origin: "retraind:r"}, rows, all)
		if says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	var n int
	err := b.conn.QueryRow(t.Context(), "SELECT count(*) FROM items WHERE category IS NOT NULL").Scan(&n)
	if err != nil || n != 0 {
		t.Errorf("%d rows were written by statements that failed, %v", n, err)
	}
	w := Write{DSNFile: dsn + ".missing", Statement: "x", Origin: "retraind:r"}
	_, err = WriteRows(t.Context(), "m", b.cfg, w, rows, all)
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Error(err)
	}
	// The connection can only read, like that of the role that watches the table.
	b.exec("ALTER DATABASE " + ident(b.conn.Config().Database) + " SET default_transaction_read_only = on")
	w = Write{DSNFile: dsn, Statement: "UPDATE public.items SET category = @label WHERE id = @id", Origin: "retraind:r"}
	_, err = WriteRows(t.Context(), "m", b.cfg, w, rows, all)
	if err == nil || !strings.Contains(err.Error(), "name the connection of a role that may select and update") {
		t.Error(err)
	}
}
