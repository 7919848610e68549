package actions

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// A model's labels are written only if this is configured, only into training rows that people have not labelled, and
// under the run's origin. If the table cannot be written, the step fails and no answer is lost.
func TestLabelsAreWritten(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	fake := ollamatest.NewFake(t)
	ollamatest.Classifier{
		Words: map[string][]string{"1": {"category 1"}, "2": {"category 2"}}, Else: []string{"category 0"},
	}.Install(t, fake.URL, "teacher", "")
	w := newWorld(t)
	w.source.list = []Row{
		row("1", "unread 1", "", false), row("2", "unread 2", "", false), row("3", "read 1", "category 2", false),
		row("4", "held 2", "", true), row("5", "held 1", "category 1", true),
	}
	step := func(write *LabelWrite) Step {
		return Resolve([]StepConfig{{&LabelStep{
			Do: DoLabel, Items: LabelAll, Write: write,
			OllamaConfig: serving.OllamaConfig{Model: "teacher", URL: fake.URL, Format: json.RawMessage(labelSchema)},
		}}}, nil, w.self)[0]
	}
	var rows []LabelRow
	w.source.write = func(to LabelWrite, origin string, list []LabelRow) (LabelsWritten, error) {
		if to.Statement != "update …" || origin != watch.OriginOf("run0002") {
			t.Errorf("%+v as %s", to, origin)
		}
		rows = list
		return LabelsWritten{Rows: 1, Taken: 1}, nil
	}
	if out, err := w.executor.label(t.Context(), w.idle(), Action{Kind: ActDo, Attempt: 1}, step(nil)); err != nil ||
		out.Class != store.StepOK || rows != nil || strings.Contains(out.Detail, "table") {
		t.Fatalf("%+v, %v, written %v", out, err, rows)
	}
	write := &LabelWrite{DSNFile: "dsn", Statement: "update …"}
	p := w.idle()
	out, err := w.executor.label(t.Context(), p, Action{Kind: ActDo, Attempt: 1}, step(write))
	if err != nil || out.Class != store.StepOK || out.Facts.Label.Written != 1 ||
		!strings.HasSuffix(out.Detail, "; 1 row written to the table, 1 skipped, because they were changed meanwhile") {
		t.Fatalf("%+v, %v", out, err)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r.ID] = r.Labels["label"]
	}
	if diff := cmp.Diff(map[string]string{"1": "category 1", "2": "category 2"}, got); diff != "" {
		t.Error(diff)
	}
	targets := []serving.Target{
		{Name: "label"}, {Name: "other", Null: "None", Normalize: "case"}, {Name: "third", Kind: serving.KindSet, Null: "none"},
	}
	want := map[string]any{"label": "category 1", "other": nil, "third": nil, "answer": `{"label":"category 1"}`}
	one := LabelRow{
		Labels: map[string]string{"label": "category 1", "other": "none", "third": `["none"]`},
		Answer: json.RawMessage(`{"label":"category 1"}`),
	}
	if diff := cmp.Diff(want, one.Params(targets)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"id", "label", "other", "third", "answer", "origin"}, LabelParams(targets)); diff != "" {
		t.Error(diff)
	}

	// The table is unreachable: a repeated step fails without new requests, and the answers are kept.
	asked := fake.Asked("/api/chat")
	w.source.write = func(LabelWrite, string, []LabelRow) (LabelsWritten, error) {
		return LabelsWritten{}, errors.New("the server is gone")
	}
	out, err = w.executor.label(t.Context(), p, Action{Kind: ActDo, Attempt: 2}, step(write))
	if err != nil || out.Class != store.StepFailed || out.Facts.Label == nil ||
		!strings.Contains(out.Detail, "write the labels: the server is gone; the labels are kept") {
		t.Errorf("%+v, %v", out, err)
	}
	if now := fake.Asked("/api/chat"); now != asked {
		t.Errorf("%d texts were asked about again", now-asked)
	}

	// The write hangs: a person can cancel the run.
	w.source.stuck = make(chan struct{})
	limited, stop := context.WithTimeout(t.Context(), waittest.Patience)
	defer stop()
	go func() {
		<-w.source.stuck
		w.cancel(p)
	}()
	if out, err := w.executor.label(limited, p, Action{Kind: ActDo, Attempt: 3}, step(write)); err != nil ||
		out.Class != store.StepCancelled {
		t.Errorf("%+v, %v", out, err)
	}

	var found check.Problems
	(&LabelWrite{}).validate(&found, "write")
	if len(found) != 2 || found[0].Path != "write.dsn_file" || found[1].Path != "write.statement" {
		t.Errorf("%+v", found)
	}
}
