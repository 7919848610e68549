package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The reference tables follow the code: whoever changes a key, an event or a metric runs the generator.
func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	fresh, err := render("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(fresh) != 4 {
		t.Errorf("%d files are generated, want 4: configuration, events, metrics and the schema", len(fresh))
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
