package offline_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/store"
)

// An export creates no new salt for known items: the daemon would accept it at its next start, and hold out other items.
func TestExportWithoutTheSalt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config, err := configs.Parse("retraind.yaml", []byte(fmt.Sprintf(`version: 1
state: %q
models:
  m:
    labels: {files: {dir: %q, text: [content]}}
    heldout: {share: 30%%}
    serving: {classify: "http://localhost:1/classify", health: "http://localhost:1/health"}
    retrain_when: {accuracy_below: 30%%}
    pipeline: {default: [{do: export}, {name: train, exec: [/bin/true], kind: pure}, {do: gate}, {do: release}, {do: verify}]}
`, dir, dir)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Update(t.Context(), "test", func(tx *store.Tx) error {
		return tx.PutItems("m", store.Item{ID: "1", Source: "files"})
	}), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = offline.Export(t.Context(), config.File, "m", offline.ExportOptions{Dir: filepath.Join(dir, "out")})
	if err == nil || !strings.Contains(err.Error(), "split-salt is missing") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "models", "m", "split-salt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new salt: %v", err)
	}
}
