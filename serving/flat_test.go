package serving

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzFlat holds the quick reading of an answer against encoding/json.
func FuzzFlat(f *testing.F) {
	for _, body := range []string{
		`{"label":"category 3","confidence":0.9,"release":"sha256:0"}` + "\n", "{}", `{"a":}`, `{"a":1,}`, `{"a" : null , "b":true}`,
		`{"a":-1.5E+3}`, `{"a":01}`, `{"a":+1}`, `{"a":1.}`, `{"a":NaN}`, `{"a":nan}`, `{"a":"x\u0041"}`, "{\"a\":\"\xff\"}", `{"a":{"b":1}}`, `{"a":[1]}`,
		`{"a":1,"a":2}`, `{"a":1} x`, `{"a":"`, `[1]`, ``, `null`, "{\"ä\":\"ö\"}", "{\"a\":\"\x01\"}", `{"a":truefalse}`, `{1:2}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := flat(body)
		if !ok {
			return
		}
		var want map[string]any
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q was read as %v, yet: %v", body, got, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

func TestFlatReadsTheUsualAnswer(t *testing.T) {
	t.Parallel()
	want := map[string]any{"label": "Größe", "confidence": json.Number("0.25"), "sure": true, "ak": nil}
	got, ok := flat([]byte(" {\"label\": \"Größe\", \"confidence\":0.25,\n\"sure\":true , \"ak\":null}"))
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(ok, diff)
	}
}
