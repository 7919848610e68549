package serving_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
)

// An unusable confidence does not make an answer unusable, unless the answer cannot be parsed at all.
func TestConfidenceThatIsNone(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]struct {
		label      string
		confidence float64
		says       string
	}{
		`{"label":"a","confidence":0.75}`:     {"a", .75, ""},
		`{"label":"a","confidence":1e999}`:    {"a", 0, ""},
		`{"label":"a","confidence":-0.5}`:     {"a", 0, ""},
		`{"label":"a","confidence":2}`:        {"a", 0, ""},
		`{"label":"a","confidence":null}`:     {"a", 0, ""},
		`{"label":"a","confidence":"NaN"}`:    {"a", 0, ""},
		`{"label":"a","confidence":[0.2]}`:    {"a", 0, ""},
		`{"label":"a","confidence":NaN}`:      {"", 0, "not a JSON object"},
		`{"label":"a","confidence":Infinity}`: {"", 0, "not a JSON object"},
		`{"label":NaN}`:                       {"", 0, "not a JSON object"},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }, nil)
		var got []serving.Answer
		err := s.Score(t.Context(), texts(1), func(_ serving.Text, a serving.Answer) { got = append(got, a) })
		if want.says != "" {
			if !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), want.says) || len(got) > 0 {
				t.Errorf("%s: %v, %v", answer, got, err)
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].Values["label"] != want.label || got[0].Confidence != want.confidence {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
}

// An answer with two JSON values is refused as ambiguous; blanks and a newline after the first are fine.
func TestAnswerThatGoesOn(t *testing.T) {
	t.Parallel()
	for answer, says := range map[string]string{
		`{"label":"a"}{"label":"b"}`:   "unexpected data",
		"{\"label\":\"a\"}\n{}":        "unexpected data",
		`{"label":"a"} trailing`:       "unexpected data",
		`{"label":"a"}]`:               "unexpected data",
		"{\"label\":\"a\"}\r\n\t \n":   "",
		`{"results":[{"label":"a"}]}]`: "unexpected data",
	} {
		var adjust func(*serving.Config)
		if strings.Contains(answer, "results") {
			adjust = func(c *serving.Config) { c.Batch = &serving.BatchConfig{URL: c.Classify, Size: 4} }
		}
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }, adjust)
		n := 0
		err := s.Score(t.Context(), texts(1), func(serving.Text, serving.Answer) { n++ })
		if says == "" && (err != nil || n != 1) {
			t.Errorf("%q: %d answers, %v", answer, n, err)
		}
		if says != "" && (n != 0 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %d answers, %v", answer, n, err)
		}
	}
}

// A text of 10 MB, an empty one, and one with invalid UTF-8 are sent whole, or as the nearest valid text.
func TestTextsOfEverySize(t *testing.T) {
	t.Parallel()
	var arrived []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived = append(arrived, string(body))
		io.WriteString(w, `{"label":"a"}`)
	}, func(c *serving.Config) { c.Concurrency = 1 })
	long := strings.Repeat("0123456789", 1<<20)
	var asked []serving.Text
	for _, text := range []string{long, "", "\xff"} {
		asked = append(asked, serving.Text{Item: "1", Fields: map[string]string{"content": text}})
	}
	n := 0
	if err := s.Score(t.Context(), asked, func(serving.Text, serving.Answer) { n++ }); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	for i, want := range []string{`{"content":"` + long + `"}`, `{"content":""}`, `{"content":"\ufffd"}`} {
		if arrived[i] != want {
			t.Errorf("text %d: %.80s", i, arrived[i])
		}
	}
}
