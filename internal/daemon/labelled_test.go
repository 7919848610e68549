package daemon_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/offline"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/watch/postgres"
)

// If null is a category, labelled_when says which rows are labelled: scoring, counters and export agree on them.
func TestLabelledWhen(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.labels = fmt.Sprintf("{postgres: {dsn: %q, table: items, id: id, text: [content], label: category, labelled_when: \"id::int < 100\"}}",
		w.dsn)
	w.serving = ", targets: {label: {null: none}}"
	w.sql("update items set category = null where id::int % 4 = 0")
	w.write(w.config())
	loaded, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	sql, err := postgres.Migration(model, loaded.File.Models[model].Labels.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	w.sql(sql)
	r := w.start()
	m := r.model("the first read",
		func(m status.Model) bool { return m.Report != nil && m.Report.Labels.Items > 0 && m.Sources[0].Up })
	if m.Report.Labels.Items != 100 {
		t.Errorf("%d items are labelled, want 100", m.Report.Labels.Items)
	}
	dir := t.TempDir()
	facts, err := offline.Export(t.Context(), loaded.File, model, offline.ExportOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if facts.Items != 100 || facts.Unlabelled != items-100 {
		t.Errorf("%d items exported, %d left out", facts.Items, facts.Unlabelled)
	}
	none := 0
	for _, name := range []string{"train.jsonl", "validation.jsonl", "test.jsonl"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if line := lines.Text(); len(line) > 0 && strings.Contains(line, `"labels":{"label":"none"}`) {
				none++
			}
		}
		f.Close()
	}
	if none != 25 {
		t.Errorf("%d exported items are labelled none, want 25", none)
	}
}
