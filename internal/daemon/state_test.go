package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/status"
)

// TestDatabaseDeletedWhileRunning: it is noticed, said in place of everything else, and over when it is back.
func TestDatabaseDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	r := w.start()
	path := filepath.Join(w.state, "retraind.db")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	says := func(m status.Model) bool {
		return m.Phase == status.Broken && strings.Contains(m.Sentence, "was deleted or replaced while retraind runs")
	}
	r.model("the deletion to be noticed", says)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	r.model("it to be over", func(m status.Model) bool { return !says(m) })
}

func TestEngineDatabaseDamaged(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	if err := os.MkdirAll(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.state, "engine.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSay(t, w.refused(), path+" is damaged: move it away", "no run is lost")
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	w.start()
}
