package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/status"
)

// statement returns a line of a label file.
func statement(n int, category string, withText bool) string {
	e := map[string]any{"id": fmt.Sprint(n), "label": category}
	if withText {
		e["text"] = map[string]string{"content": text([]string{"sport", "geld"}[n%2], n)}
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

// A model whose labels come only from files gets a release, and another one after corrections.
func TestFilesAloneAreEnough(t *testing.T) {
	t.Parallel()
	w := alone(t)
	dir := filepath.Join(w.dir, "labels")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.labels = fmt.Sprintf("{files: {dir: %q}}", dir)
	w.when = "{label_changes: {share: 10%, at_least: 5}}"
	var b strings.Builder
	for n := range items {
		b.WriteString(statement(n, []string{"sport", "geld"}[n%2], true))
	}
	add := func(name, text string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add("first.jsonl", b.String())
	r := w.start()
	r.first()

	b.Reset()
	for n := range 30 {
		b.WriteString(statement(n, []string{"geld", "sport"}[n%2], false))
	}
	add("corrections.jsonl", b.String())
	runs := r.ended(2)
	r.model("the corrections to be counted", func(m status.Model) bool { return m.Active == nil })
	if runs[0].Forced {
		t.Errorf("the second run: %+v", runs[0])
	}
	r.stop()

	// An export has the texts, although there is no table.
	l, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	facts, err := offline.Export(context.Background(), l.File, model, offline.ExportOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if facts.Items != items || facts.Train == 0 || facts.Test == 0 {
		t.Errorf("export: %+v", facts)
	}
}
