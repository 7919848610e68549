package actions

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// The step labels items that people have not labelled, and the export of the same run trains on them. People's labels
// win, and held-out items keep people's labels only.
func TestLabelStep(t *testing.T) {
	t.Parallel()
	fake := ollamatest.NewFake(t)
	ollamatest.Classifier{
		Words: map[string][]string{"goal": {"sport"}, "vote": {"politics"}},
	}.Install(
		t,
		fake.URL,
		"teacher",
		"",
	)
	w := newWorld(t)
	p := w.idle()
	row := func(id, text, label string, side drift.Side) Row {
		r := Row{Item: watch.Item{ID: id, Text: map[string]string{"title": text}, Labels: map[string]string{}}, Side: side}
		r.Group = drift.GroupHash(text)
		if label != "" {
			r.Labels["label"] = label
		}
		return r
	}
	w.source.list = []Row{
		row("1", "a goal", "", drift.SideTrain), row("2", "another vote", "", drift.SideTrain),
		row("3", "a goal for all", "politics", drift.SideTrain), row("4", "vote now", "politics", drift.SideTest),
		row("5", "a late goal", "", drift.SideTest), row("6", "the goal", "sport", drift.SideTrain),
	}
	step := Resolve([]StepConfig{{&LabelStep{
		Do: DoLabel, Items: LabelAll,
		OllamaConfig: serving.OllamaConfig{Model: "teacher", URL: fake.URL, Format: json.RawMessage(
			`{"type":"object","properties":{"label":{"type":"string","enum":["politics","sport"]}}}`)},
	}}}, nil, w.self)[0]
	if step.Timeout != 12*time.Hour || !step.Label.Ollama.Foreign {
		t.Errorf("%+v", step)
	}
	w.source.away.Store(2) // a temporary failure of the database does not fail the step
	out, err := w.executor.label(t.Context(), p, Action{Kind: ActDo, Attempt: 1}, step)
	if err != nil || out.Class != store.StepOK || out.Facts.Label == nil || out.Facts.Label.Labelled != 4 ||
		out.Facts.Label.Agreement.N != 1 {
		t.Fatalf("%+v %+v %v", out, out.Facts.Label, err)
	}
	overlay, err := teacher.ReadOverlay(p.overlayFile())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	facts, seen, err := Export(t.Context(), dir, ExportPlan{Targets: p.targets(), Overlay: overlay, Remember: true},
		w.source.Rows(t.Context(), "m"))
	if err != nil || facts.Overlay != 2 || facts.Train != 2 || facts.Test != 1 || facts.Unlabelled != 1 ||
		!seen.Has("1", "") {
		t.Errorf("%+v, %v", facts, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "train.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]any{}
	for line := range strings.Lines(string(b)) {
		var e Example
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		labels[e.ID] = e.Labels["label"]
	}
	if labels["1"] != "sport" || labels["2"] != "politics" || labels["3"] != "politics" || labels["6"] != "sport" ||
		len(labels) != 4 {
		t.Errorf("%v", labels)
	}

	w.source.away.Store(1_000_000) // a longer one does not prevent a cancellation
	other := w.idle()
	w.cancel(other)
	out, err = w.executor.label(t.Context(), other, Action{Kind: ActDo, Attempt: 1}, step)
	if err != nil || out.Class != store.StepCancelled {
		t.Errorf("%+v %v", out, err)
	}
}

// A night's budget is shared by all attempts of the run.
func TestBudgetOfKilledAttempts(t *testing.T) {
	t.Parallel()
	p, step := Plan{RunDir: t.TempDir()}, Step{Name: "label"}
	began := time.Now().Add(-time.Hour)
	for n, worked := range []time.Duration{20 * time.Minute, 15 * time.Minute} {
		dir := AttemptDir(p.RunDir, "label", n+1)
		for file, at := range map[string]time.Time{"claimed": began, "progress": began.Add(worked)} {
			writeText(t, filepath.Join(dir, file), "")
			if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for attempt, want := range map[int]time.Duration{1: time.Hour, 2: 40 * time.Minute, 3: 25 * time.Minute} {
		got := (&LabelPlan{Budget: time.Hour}).left(p, step, Action{Kind: ActDo, Attempt: attempt})
		if got.Round(time.Second) != want {
			t.Errorf("attempt %d has %v, want %v", attempt, got, want)
		}
	}
	if got := (&LabelPlan{Budget: time.Minute}).left(p, step, Action{Kind: ActDo, Attempt: 3}); got != 1 {
		t.Errorf("a spent budget leaves %v", got)
	}
	if got := (&LabelPlan{}).left(p, step, Action{Kind: ActDo, Attempt: 3}); got != 0 {
		t.Errorf("no budget leaves %v", got)
	}
}
