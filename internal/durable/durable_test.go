package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/internal/durable"
)

func TestWriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{"first\n", "second\n"} {
		if err := durable.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left in the directory: %v, %v", list, err)
	}
	if err := durable.WriteFile(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("no error for a file below a file")
	}
	if err := durable.SyncDir(filepath.Join(path, "none")); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}

func TestWriteOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left by a full disk
		t.Fatal(err)
	}
	for _, text := range []string{"first\n", "second\n"} {
		if err := durable.WriteOnce(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "first\n" {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if err := durable.WriteOnce(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("no error for a file below a file")
	}
}
