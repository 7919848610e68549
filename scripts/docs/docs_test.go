package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/notify"
)

// The reference tables match the code: after a change of a key, an event or a metric the generator must be run.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	fresh, err := render("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(fresh) != 5 {
		t.Errorf("%d files are generated, want 5: configuration, events, metrics, the schema and asyncapi", len(fresh))
	}
	for path, want := range fresh {
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), string(want)); diff != "" {
			t.Errorf("%s is not current; run: go run ./scripts/docs\n%s", path, diff)
		}
	}
}

// Every reference in the AsyncAPI document resolves, and each kind of event has its channel.
func TestAsyncAPIReferencesResolve(t *testing.T) {
	t.Parallel()
	text, err := asyncAPI(newSources("../.."))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, each := range v {
				walk(each)
			}
		case map[string]any:
			if path, ok := v["$ref"].(string); ok {
				var at any = document
				for _, part := range strings.Split(strings.TrimPrefix(path, "#/"), "/") {
					inside, _ := at.(map[string]any)
					at = inside[part]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", path)
				}
			}
			for _, each := range v {
				walk(each)
			}
		}
	}
	walk(document)
	for _, e := range notify.Catalogue() {
		channel, ok := document["channels"].(map[string]any)[string(e.Kind)].(map[string]any)
		if !ok || !strings.HasSuffix(channel["address"].(string), "."+string(e.Kind)) {
			t.Errorf("%s has no channel of its own: %v", e.Kind, channel)
		}
	}
}
