package serving_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// batched starts a service that answers batches, with the title as the label. If `odd` is not nil, it gives the answer
// for each title instead; nil leaves the answer out.
func batched(t *testing.T, odd func(title string) map[string]any) (*serving.Scorer, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		var ask struct {
			Items []map[string]string `json:"items"`
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || len(ask.Items) > 10 {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		results := []map[string]any{}
		for _, item := range ask.Items {
			answer := map[string]any{"label": item["title"], "confidence": 0.5, "release": "sha256:1"}
			if odd != nil {
				answer = odd(item["title"])
			}
			if answer != nil {
				results = append(results, answer)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	}))
	t.Cleanup(server.Close)
	s := serving.NewScorer(serving.Config{
		Classify: "http://127.0.0.1:1/unused", Health: "http://127.0.0.1:1/unused",
		Batch: &serving.BatchConfig{URL: server.URL, Size: 10},
	})
	t.Cleanup(s.Close)
	return s, &requests
}

func titled(n int) (texts []serving.Text) {
	for i := range n {
		texts = append(texts, serving.Text{
			Item: fmt.Sprint(i), Hash: "h",
			Fields: map[string]string{"title": fmt.Sprint("t", i)},
		})
	}
	return texts
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s, requests := batched(t, nil)
	got := map[string]serving.Answer{}
	if err := s.Score(t.Context(), titled(95),
		func(text serving.Text, a serving.Answer) { got[text.Item] = a }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 95 || requests.Load() != 10 {
		t.Errorf("%d answers in %d requests", len(got), requests.Load())
	}
	for item, a := range got {
		if a.Values["label"] != "t"+item || a.Confidence != 0.5 || a.Release != "sha256:1" || a.Took <= 0 {
			t.Errorf("item %s: %+v", item, a)
		}
	}
}

func TestBatchFaults(t *testing.T) {
	t.Parallel()
	// One unusable answer is an error of that item only.
	s, _ := batched(t, func(title string) map[string]any {
		if title == "t7" {
			return map[string]any{"prediction": "x"}
		}
		return map[string]any{"label": title}
	})
	n := 0
	err := s.Score(t.Context(), titled(20), func(serving.Text, serving.Answer) { n++ })
	if n != 19 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), "item 7 at ") ||
		!strings.Contains(err.Error(), `no field "label"`) {
		t.Errorf("%d answers, %v", n, err)
	}
	// With one answer too few it is unknown which one is missing.
	s, _ = batched(t, func(title string) map[string]any {
		if title == "t7" {
			return nil
		}
		return map[string]any{"label": title}
	})
	n = 0
	err = s.Score(t.Context(), titled(10), func(serving.Text, serving.Answer) { n++ })
	if n != 0 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), "9 results, but the request has 10 items") {
		t.Errorf("%d answers, %v", n, err)
	}
	n = 0 // one request without a usable answer does not end the others
	err = s.Score(t.Context(), titled(400), func(serving.Text, serving.Answer) { n++ })
	if n != 390 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), "10 of 400 texts failed, the first: ") {
		t.Errorf("%d answers, %v", n, err)
	}
	p := serving.Config{
		Classify: "http://a/c", Health: "http://a/h",
		Batch: &serving.BatchConfig{URL: "a", Size: -1},
	}.WithDefaults().Validate()
	if len(p) != 2 || !strings.Contains(p[0].Message+p[1].Message, "-1 texts in one request") ||
		!strings.Contains(p[0].Message+p[1].Message, `"a" is not an http or https URL`) {
		t.Errorf("%v", p)
	}
}

// A redirect is followed with the whole body, and a slow answer does not affect the requests after it.
func TestRedirectAndSlowAnswer(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/classify", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/classify/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/classify/", func(w http.ResponseWriter, r *http.Request) {
		var fields map[string]string
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil || fields["title"] == "" {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		if asked.Add(1) == 2 {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return
		}
		fmt.Fprintf(w, `{"label": %q}`, fields["title"])
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(hang)
	s := serving.NewScorer(serving.Config{
		Classify: server.URL + "/classify", Health: server.URL, Concurrency: 1,
		Timeout: unit.Duration(2 * time.Second), // long enough for the other answers on a busy machine
	})
	defer s.Close()
	n := 0
	err := s.Score(context.Background(), titled(5), func(text serving.Text, a serving.Answer) {
		if a.Values["label"] == text.Fields["title"] {
			n++
		}
	})
	if n != 4 || !errors.Is(err, serving.ErrService) || !strings.Contains(err.Error(), "no answer within 2s") {
		t.Errorf("%d answers, %v", n, err)
	}
}
