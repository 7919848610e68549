package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

func statements(t *testing.T) (*sql.DB, func() int) {
	t.Helper()
	db, err := openDB(filepath.Join(t.TempDir(), "some.db"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	kept := func() (n int) {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = c.Raw(func(inner any) error { n = inner.(*conn).kept; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, query := range []string{
		"create table kinds (n integer primary key, name text)",
		"insert into kinds values (1, 'a'), (2, 'b'), (3, 'c')",
	} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	return db, kept
}

// TestStatementInUseIsPreparedAgain runs a query while the same query's rows are being read.
func TestStatementInUseIsPreparedAgain(t *testing.T) {
	t.Parallel()
	db, kept := statements(t)
	before := kept()
	const query = "select name from kinds where n >= ? order by n"
	for range 3 {
		got := ""
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var collect func(from, depth int)
		collect = func(from, depth int) {
			rows, err := tx.Query(query, from)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for n := from; rows.Next(); n++ {
				var name string
				if err := rows.Scan(&name); err != nil {
					t.Fatal(err)
				}
				got += name
				if depth > 0 {
					collect(n+1, depth-1)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
		collect(1, 2)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if got != "abccbcc" {
			t.Errorf("read %q", got)
		}
	}
	if n := kept() - before; n != 3 {
		t.Errorf("%d statements were kept, of a text that was in use three times at once", n)
	}
}

// TestStatementAfterAFault runs queries again after errors and after a change of the schema.
func TestStatementAfterAFault(t *testing.T) {
	t.Parallel()
	db, _ := statements(t)
	const insert = "insert into kinds values (?, ?)"
	for range 2 {
		if _, err := db.Exec(insert, 1, "again"); err == nil {
			t.Error("a key was taken twice")
		}
	}
	if _, err := db.Exec(insert, 4, "d"); err != nil {
		t.Error(err)
	}
	const all = "select * from kinds where n = 4"
	if got := columns(t, db, all); got != "[n name]" {
		t.Error(got)
	}
	if _, err := db.Exec("alter table kinds add colour text"); err != nil {
		t.Fatal(err)
	}
	if got := columns(t, db, all); got != "[n name colour]" {
		t.Error(got)
	}
}

// columns returns the names of a query's columns, and fails the test if the query has no row.
func columns(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		t.Errorf("no row: %v, %v", err, rows.Err())
	}
	return fmt.Sprint(names)
}

func TestKeptStatementsAreBounded(t *testing.T) {
	t.Parallel()
	db, kept := statements(t)
	for n := range 2 * keepStatements {
		var got int
		if err := db.QueryRow(fmt.Sprintf("select %d", n)).Scan(&got); err != nil || got != n {
			t.Fatalf("%d, %v, want %d", got, err, n)
		}
	}
	if n := kept(); n != keepStatements {
		t.Errorf("%d statements are kept, want %d", n, keepStatements)
	}
}
