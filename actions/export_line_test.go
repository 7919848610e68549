package actions

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/watch"
)

// TestLinesAreWhatJSONMakesOfThem compares with the library, over texts of any bytes.
func TestLinesAreWhatJSONMakesOfThem(t *testing.T) {
	t.Parallel()
	targets := []drift.Target{{Name: "b"}, {Name: "a", Kind: drift.KindSet}}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~\n\t"\\<>&]*`), rapid.StringMatching(`([ -~]{7,17}["\\ä\n€]?)*`), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}), rapid.SampledFrom([]string{"", "\u2028", "a\u2029b", "€", "\x7f", "\xff", "ü"}))
		row := Row{Item: watch.Item{ID: text.Draw(t, "id"), Text: rapid.MapOfN(text, text, 0, 3).Draw(t, "text"), Labels: watch.Labels{"b": text.Draw(t, "b")}}}
		if rapid.Bool().Draw(t, "second") {
			row.Labels["a"] = drift.CanonicalSet(rapid.SliceOfN(text, 0, 3).Draw(t, "a"))
		}
		want := Example{ID: row.ID, TextHash: "hash", Text: row.Text, Labels: map[string]any{}}
		for _, target := range targets {
			if label, ok := row.Labels[target.Name]; ok {
				want.Labels[target.Name] = target.JSON(label)
			}
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		got, err := appendExample(nil, targets, row, "hash")
		if err != nil || string(got) != b.String() {
			t.Fatalf("%q (%v), want %q", got, err, b.String())
		}
	})
}
