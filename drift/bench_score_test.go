package drift_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/retraind/retraind/drift"
)

const (
	scoreConcurrency = 16
	scoreTexts       = 2000
)

// benchService answers as quickly as a server can, so that what is measured is the asking.
func benchService(b *testing.B) string {
	answer := []byte(`{"label":"category 3","confidence":0.9,"release":"sha256:0"}` + "\n")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	b.Cleanup(server.Close)
	return server.URL
}

func benchTexts() []drift.Text {
	texts := make([]drift.Text, scoreTexts)
	for i := range texts {
		texts[i] = drift.Text{Item: fmt.Sprint(i), Hash: "h", Fields: map[string]string{"title": fmt.Sprint("title ", i), "content": string(bytes.Repeat([]byte("Wort "), 200))}}
	}
	return texts
}

func rate(b *testing.B) {
	b.ReportMetric(float64(b.N)*scoreTexts/b.Elapsed().Seconds(), "texts/s")
}

// BenchmarkScore asks about held-out texts as an evaluation does.
func BenchmarkScore(b *testing.B) {
	s := drift.NewScorer(drift.ServingConfig{Classify: benchService(b), Health: "http://unused", Concurrency: scoreConcurrency}.WithDefaults())
	defer s.Close()
	texts := benchTexts()
	for b.Loop() {
		n := 0
		if err := s.Score(context.Background(), texts, func(drift.Text, drift.Answer) { n++ }); err != nil || n != scoreTexts {
			b.Fatal(n, err)
		}
	}
	rate(b)
}

// BenchmarkScoreBare is the peer: ready-made bodies sent by as many goroutines over kept connections, answers read and
// thrown away.
func BenchmarkScoreBare(b *testing.B) {
	url := benchService(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: scoreConcurrency}}
	defer client.CloseIdleConnections()
	var bodies [][]byte
	for _, t := range benchTexts() {
		body, err := json.Marshal(t.Fields)
		if err != nil {
			b.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	for b.Loop() {
		var next atomic.Int64
		var all sync.WaitGroup
		for range scoreConcurrency {
			all.Go(func() {
				for i := next.Add(1) - 1; i < scoreTexts; i = next.Add(1) - 1 {
					resp, err := client.Post(url, "application/json", bytes.NewReader(bodies[i]))
					if err != nil {
						b.Error(err)
						return
					}
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	rate(b)
}
