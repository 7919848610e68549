package store_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/store"
)

// write runs a transaction that fails with an error, or succeeds.
func write(t *testing.T, s *store.Store, name string, err error) error {
	t.Helper()
	return s.Update(t.Context(), name, func(tx *store.Tx) error {
		if err != nil {
			return err
		}
		return tx.SetModel("m", store.Champion, name)
	})
}

// TestTroubleEndsWithTheWriteThatMetIt: on a full disk small writes succeed. Within a minute, only a success of the
// write that failed ends the fault.
func TestTroubleEndsWithTheWriteThatMetIt(t *testing.T) {
	t.Parallel()
	s := openIn(t, t.TempDir())
	full := &store.Fault{Text: "the disk is full"}
	for range 3 {
		if err := write(t, s, "events", full); !errors.Is(err, full) {
			t.Fatal(err)
		}
		if err := write(t, s, "small", nil); err != nil {
			t.Fatal(err)
		}
		if got, want := s.Trouble(), "state directory "+s.Dir()+": the disk is full"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := write(t, s, "events", errors.New("no fault of the directory")); err == nil || s.Trouble() == "" {
		t.Errorf("%v, %q", err, s.Trouble())
	}
	if err := write(t, s, "events", nil); err != nil || s.Trouble() != "" {
		t.Errorf("%v, %q", err, s.Trouble())
	}
}

// TestDatabaseLocked: a lock of another program is a fault of the state directory, and no fault of what is written.
func TestDatabaseLocked(t *testing.T) {
	t.Parallel()
	s := openIn(t, t.TempDir())
	other, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir(), "retraind.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var fault *store.Fault
	err = write(t, s, "events", nil) // waits for the lock
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "end the program that has it open") {
		t.Errorf("a write: %v", err)
	}
	if got := s.Trouble(); !strings.Contains(got, "the database file stays locked") {
		t.Errorf("the state directory's fault: %q", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := write(t, s, "events", nil); err != nil || s.Trouble() != "" {
		t.Errorf("once it is unlocked: %v, %q", err, s.Trouble())
	}
}

// TestDirectoryDeletedWhileOpen: nothing is written to a deleted database.
func TestDirectoryDeletedWhileOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s := openIn(t, dir)
	s.Check()
	if got := s.Trouble(); got != "" {
		t.Fatal(got)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	s.Check()
	const want = "was deleted or replaced while retraind runs: stop retraind"
	if got := s.Trouble(); !strings.Contains(got, want) {
		t.Errorf("got %q", got)
	}
	if err := write(t, s, "events", nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a write: %v", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	s.Check()
	if err := write(t, s, "events", nil); err != nil || s.Trouble() != "" {
		t.Errorf("once it is back: %v, %q", err, s.Trouble())
	}
}

// TestEngineDatabaseDamaged: the message names the file, and says that no run is lost without it.
func TestEngineDatabaseDamaged(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no database": strings.Repeat("x", 8192), "cut": "SQLite format 3\x00" + strings.Repeat("\xff", 8192),
	} {
		dir := t.TempDir()
		s := openIn(t, dir)
		writeFile(t, filepath.Join(dir, "engine.db"), text)
		db, err := s.OpenEngine()
		if err == nil {
			db.Close()
			t.Fatalf("%s: it opened", name)
		}
		for _, want := range []string{filepath.Join(dir, "engine.db"), "is damaged", "move it away", "resumed from the store"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	s := openIn(t, t.TempDir())
	db, err := s.OpenEngine()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
