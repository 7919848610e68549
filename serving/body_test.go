package serving

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestBodyIsWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	for _, fields := range []map[string]string{
		nil, {}, {"": ""}, {"content": "a\"b\\c\n\x00\x7f"}, {"title": "\xff\xfe", "content": "ä\u2028<&>"}, {"b": "1", "a": "2", "c\t": "3"},
	} {
		sameJSON(t, fields)
	}
	rapid.Check(t, func(t *rapid.T) {
		sameJSON(t, rapid.MapOf(rapid.String(), rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string {
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}))).Draw(t, "fields"))
	})
}

func sameJSON(t rapid.TB, fields map[string]string) {
	t.Helper()
	written, _ := json.Marshal(fields)
	var want, got map[string]string
	if err := json.Unmarshal(written, &want); err != nil {
		t.Fatal(err)
	}
	body := appendObject(nil, fields)
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for name, value := range want {
		if got[name] != value {
			t.Fatalf("%q: %q, want %q", name, got[name], value)
		}
	}
}
