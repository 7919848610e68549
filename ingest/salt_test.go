package ingest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If items exist, a missing salt was lost, and no new one is created.
func TestLostSalt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "models", "news", "split-salt")
	first, err := readSalt(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := readSalt(path, true); err != nil || string(again) != string(first) {
		t.Errorf("the second time: %q, %v", again, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := readSalt(path, true); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("a lost salt: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new salt was made")
	}
}
