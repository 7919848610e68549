package dataset

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/ingest"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/sources"
)

// TestExportMergesLabelsByTarget: an export has the labels that events gave to the rows of the table, also to rows that
// labelled_when excludes, except for the targets whose label changed in the table after they were read.
func TestExportMergesLabelsByTarget(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.Database(t, `CREATE TABLE items (id int PRIMARY KEY, title text, label text, tone text, reviewed bool);
INSERT INTO items VALUES (1, 'one', 'sport', 'calm', true), (2, 'two', 'guess', NULL, false), (3, 'three', 'guess', NULL, false);`)
	c := &postgres.Config{
		DSN: dsn, Table: "items", ID: []string{"id"}, Text: []string{"title"}, LabelledWhen: "reviewed",
		Targets: map[string]string{"label": "label", "tone": "tone"},
	}
	st, err := store.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	targets := []serving.Target{{Name: "label"}, {Name: "tone", Null: "none"}}
	split := drift.NewSplit(drift.HeldoutConfig{Share: 0.5}, []byte("salt"), nil)
	w := ingest.NewWriter(st, "m", targets, split, slog.New(slog.DiscardHandler))
	if err := w.Replace(ctx, watch.SourcePostgres,
		watch.FullRead{MaxGone: 1, Cursor: "1", Items: postgres.Export(ctx, "m", c)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Take(ctx, watch.Batch{Source: watch.SourceNATS, Events: []watch.Event{
		{Item: "1", Labels: watch.Labels{"label": "politik"}}, {Item: "2", Labels: watch.Labels{"label": "politik"}},
	}}); err != nil {
		t.Fatal(err)
	}
	read := func() map[string]watch.Labels {
		t.Helper()
		got := map[string]watch.Labels{}
		r := Reader{Store: st, Model: "m", Labels: &sources.Config{Postgres: c}, Split: split, Targets: targets}
		for row, err := range r.Rows(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			got[row.ID] = row.Labels
		}
		return got
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]watch.Labels{"1": {"label": "politik", "tone": "calm"}, "2": {"label": "politik"}, "3": {}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after the events (-want +got):\n%s", diff)
	}
	exec(`UPDATE items SET tone = 'angry' WHERE id = 1; UPDATE items SET label = 'another guess' WHERE id > 1`)
	want["1"]["tone"] = "angry"
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after changes of the table that are not read yet (-want +got):\n%s", diff)
	}
	exec(`UPDATE items SET reviewed = true, label = 'geld' WHERE id = 2`)
	want["2"] = watch.Labels{"label": "geld", "tone": "none"}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after the row was labelled (-want +got):\n%s", diff)
	}
}
