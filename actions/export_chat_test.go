package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
)

func TestExportChat(t *testing.T) {
	t.Parallel()
	chat, err := serving.NewChat(serving.Config{
		Ollama: &serving.OllamaConfig{
			Model: "m", URL: "http://127.0.0.1:1", System: "Sort.",
			Format: []byte(`{"type":"object","properties":{"label":{"enum":["a","b"]},"more":{"type":"string"}},"required":["label","more"]}`),
		},
		Targets: map[string]serving.Target{"label": {}, "more": {}}, Gate: "label",
	})
	if err != nil {
		t.Fatal(err)
	}
	plan := planned
	plan.Chat, plan.Prompts = chat, "sha256:of the files"
	with := func(r Row, more string) Row {
		r.Labels["more"] = more
		return r
	}
	dir := t.TempDir()
	facts, seen, err := Export(t.Context(), dir, plan, rows(with(row("1", "one", "a", false), "x"),
		row("2", "two", "b", false), with(row("3", "three", "b", true), "y"), row("4", "four", "a", true)))
	if err != nil || facts.Train != 1 || facts.Test != 2 || facts.Incomplete != 1 || seen.Has("2", "") {
		t.Errorf("facts %+v, %v", facts, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "manifest.json")); err != nil || !strings.Contains(string(b), plan.Prompts) {
		t.Errorf("manifest.json: %s, %v", b, err)
	}
	train := lines[Example](t, filepath.Join(dir, "train.jsonl"))
	want := []ollama.Message{
		{Role: "system", Content: "Sort."},
		{Role: "user", Content: "one"},
		{Role: "assistant", Content: `{"label": "a", "more": "x"}`},
	}
	if len(train) != 1 || len(train[0].Messages) != 3 || train[0].Messages[0] != want[0] ||
		train[0].Messages[1] != want[1] || train[0].Messages[2] != want[2] {
		t.Errorf("train.jsonl: %+v", train)
	}
	test := lines[Example](t, filepath.Join(dir, "test.jsonl"))
	if len(test) != 2 || len(test[0].Messages) != 3 || test[1].Messages != nil {
		t.Errorf("test.jsonl: %+v", test)
	}

	_, _, err = Export(t.Context(), t.TempDir(), plan, rows(with(row("9", "nine", "other", false), "x")))
	if err == nil || !strings.Contains(err.Error(), `item "9"`) || !strings.Contains(err.Error(), "format_file") {
		t.Errorf("a label outside the schema: %v", err)
	}
}
