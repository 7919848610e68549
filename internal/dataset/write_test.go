package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A model's labels are written only into rows without labels, as values of the columns' types and under the run's
// origin. A row that a person has labelled meanwhile, or whose text has changed, is left as it is.
func TestWriteLabels(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t, `CREATE TABLE items (id int PRIMARY KEY, title text, relevant bool, priority text, answer jsonb, by text, reviewed_at timestamptz);
INSERT INTO items (id, title, relevant, priority, reviewed_at) VALUES (1, 'one', NULL, NULL, NULL), (2, 'two', NULL, NULL, NULL),
  (3, 'three', false, 'hoch', now()), (4, 'four, edited', NULL, NULL, NULL), (5, 'five', true, 'guessed', NULL);`)
	dir := t.TempDir()
	write := filepath.Join(dir, "write-dsn")
	if err := os.WriteFile(write, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := configs.Parse(filepath.Join(dir, "retraind.yaml"), fmt.Appendf(nil, `version: 1
models:
  m:
    labels: {postgres: {dsn: %q, table: items, id: id, text: [title], label: relevant, labelled_when: "reviewed_at is not null"}}
    serving:
      classify: "http://localhost/classify"
      health: "http://localhost/health"
      targets: {relevant: {kind: bool, label: relevant}, priority: {label: priority, "null": none}}
      gate: relevant
    retrain_when: {max_age: 90d}
`, dsn))
	if err != nil {
		t.Fatal(err)
	}
	var rows []actions.LabelRow
	for id, title := range map[string]string{"1": "one", "2": "two", "3": "three", "4": "four", "5": "five"} {
		labels := map[string]string{"relevant": "true", "priority": "mittel"}
		if id == "2" {
			labels = map[string]string{"relevant": "false", "priority": "none"}
		}
		rows = append(rows, actions.LabelRow{
			ID: id, Hash: drift.TextHash(map[string]string{"title": title}), Labels: labels, Answer: []byte(`{"why": "'; --"}`),
		})
	}
	w := actions.LabelWrite{DSNFile: write, Statement: `UPDATE public.items SET relevant = @relevant, priority = @priority,
		answer = @answer, by = @origin, reviewed_at = now() WHERE id = @id`}
	source := Source{File: func() *configs.File { return file.File }}
	for n, want := range []actions.LabelsWritten{{Rows: 3, Taken: 2}, {Taken: 5}} {
		got, err := source.WriteLabels(t.Context(), "m", w, "retraind:r1", rows)
		if err != nil || got != want {
			t.Fatalf("call %d: %+v, want %+v: %v", n+1, got, want, err)
		}
	}
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	list, err := db.Query(t.Context(), `SELECT concat_ws(' ', id, relevant, coalesce(priority, 'NULL'), by, answer->>'why') FROM items ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(list, pgx.RowTo[string])
	want := []string{
		"1 t mittel retraind:r1 '; --", "2 f NULL retraind:r1 '; --", "3 f hoch", "4 NULL", "5 t mittel retraind:r1 '; --",
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q, %v", got, want, err)
	}
	if _, err := source.WriteLabels(t.Context(), "gone", w, "retraind:r1", rows); err == nil {
		t.Error("a model that is not configured was written")
	}
}
