package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/store"
)

func TestOpenMakesADirectoryOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var", "state")
	s := openIn(t, dir)
	if s.Dir() != dir {
		t.Errorf("directory %q", s.Dir())
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v; it must be the daemon's alone", info.Mode(), err)
	}
	raw := rawDB(t, dir)
	for pragma, want := range map[string]string{"user_version": fmt.Sprint(store.Schema), "journal_mode": "wal"} {
		var got string
		if err := raw.QueryRow("pragma " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("pragma %s: %q, %v; want %q", pragma, got, err, want)
		}
	}
}

func TestOpenAgainFindsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	update(t, first, func(tx *store.Tx) error { return tx.SetModel("m", store.Champion, "sha256:1") })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := openIn(t, dir)
	if got := view(t, again, func(tx *store.Tx) (store.Model,
		error,
	) {
		return tx.Model("m")
	}); got.Champion != "sha256:1" {
		t.Errorf("got %+v", got)
	}
}

func TestSecondOpenNamesTheFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openIn(t, dir)
	_, err := store.Open(t.Context(), dir)
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != fmt.Sprint(os.Getpid()) {
		t.Fatalf("got %v", err)
	}
	want := fmt.Sprintf("state directory %s is in use by another retraind (pid %d): stop that process, or set another `state:` for this one",
		dir, os.Getpid())
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestLockEndsWithClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		s, err := store.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the directory to open
		want    []string
	}{
		{
			"a PostgreSQL address", func(*testing.T, string) string { return "postgres://host/db" },
			[]string{"state: a PostgreSQL address is not supported by this version"},
		},
		{
			"a newer schema", func(t *testing.T, dir string) string {
				return prepared(t, dir, "pragma user_version = 99")
			},
			[]string{
				"open store in", fmt.Sprintf("written by a newer retraind (schema 99, this one knows %d)", store.Schema),
				"install that version again",
			},
		},
		{"a file in the directory's place", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "file")
			writeFile(t, path, "x")
			return path
		}, []string{"state directory", "not a directory", "set `state:` to a directory that is writable"}},
		{"no database", func(t *testing.T, dir string) string {
			writeFile(t, filepath.Join(dir, "retraind.db"), strings.Repeat("This is not a database. ", 400))
			return dir
		}, []string{"open store in", "file is not a database", "the database file is damaged: restore it from a backup"}},
		{"a directory in the database's place", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "retraind.db"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, []string{"open store in", "cannot be opened: check the owner and permissions"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := c.prepare(t, t.TempDir())
			for range 2 { // a failed start leaves no lock behind
				s, err := store.Open(t.Context(), dir)
				if err == nil {
					s.Close()
					t.Fatal("it opened")
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in: %v", want, err)
					}
				}
			}
		})
	}
}

func TestDamageInTheMiddleIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		for i := range 500 {
			if err := tx.PutItems("m", store.Item{
				ID: fmt.Sprint(i), Heldout: true,
				Text: map[string]string{"t": strings.Repeat("x", 400)}, At: noon,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "retraind.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 80 * 4096; i < len(b); i++ { // the schema stays, the rows' pages are removed
		b[i] = 0xff
	}
	writeFile(t, path, string(b))
	s = openIn(t, dir)
	err = s.View(t.Context(), func(tx *store.Tx) error {
		for _, err := range tx.Items("m") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "the database file is damaged") {
		t.Errorf("got %v", err)
	}
}

func TestReaderBesideTheDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := store.OpenReader(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("without a store: %v", err)
	}
	s := openIn(t, dir)
	reader, err := store.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	champion := func(s *store.Store) string {
		return view(t, s, func(tx *store.Tx) (store.Model, error) { return tx.Model("m") }).Champion
	}
	err = reader.View(t.Context(), func(tx *store.Tx) error {
		before, err := tx.Model("m")
		if err != nil {
			return err
		}
		// The daemon writes while the reader reads: neither waits, and the reader's snapshot does not change.
		update(t, s, func(tx *store.Tx) error { return tx.SetModel("m", store.Champion, "sha256:new") })
		after, err := tx.Model("m")
		if before != after {
			t.Errorf("one view, two states: %+v and %+v", before, after)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if champion(reader) != "sha256:new" || champion(s) != "sha256:new" {
		t.Error("the next view does not see what was written")
	}
}

func TestReaderRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]string{
		0:  fmt.Sprint("the store has schema 0, this retraind reads ", store.Schema),
		99: "written by a newer retraind (schema 99",
	} {
		dir := prepared(t, t.TempDir(), fmt.Sprint("pragma user_version = ", version))
		r, err := store.OpenReader(dir)
		if err == nil {
			r.Close()
			t.Errorf("schema %d was opened", version)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "retraind.db"), strings.Repeat("no database here ", 500))
	if _, err := store.OpenReader(dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
}

func TestEngineDatabaseCommitsToDisk(t *testing.T) {
	t.Parallel()
	db, err := open(t).OpenEngine()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		if err := db.QueryRow("pragma " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("pragma %s: %q, %v; want %q", pragma, got, err, want)
		}
	}
}

// A directory name with characters that are special in a database URI must not change the path or the settings.
func TestDirectoryOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one#two", "one?mode=memory", "50%20", "a b&c", "größe"} {
		dir := filepath.Join(t.TempDir(), name)
		s := openIn(t, dir)
		update(t, s, func(tx *store.Tx) error { return tx.SetModel("m", store.Champion, "x") })
		engine, err := s.OpenEngine()
		if err != nil {
			t.Fatal(err)
		}
		var mode string
		if err := engine.QueryRow("pragma journal_mode").Scan(&mode); err != nil || mode != "wal" {
			t.Errorf("%s: journal mode %q, %v", name, mode, err)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		for _, file := range []string{"retraind.db", "engine.db"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// prepared creates a store in dir and runs a statement on it.
func prepared(t *testing.T, dir, statement string) string {
	t.Helper()
	s, err := store.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := rawDB(t, dir).Exec(statement); err != nil {
		t.Fatal(err)
	}
	return dir
}

func rawDB(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "retraind.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
