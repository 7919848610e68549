package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/serving"
)

const (
	scoreConcurrency = 16
	scoreTexts       = 20_000
	scoreTurn        = 500 // texts in one turn of the Scorer or of the load generator
)

// benchService answers as fast as a server can, so that the benchmark measures the client.
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

func benchTexts() []serving.Text {
	texts := make([]serving.Text, scoreTexts)
	for i := range texts {
		texts[i] = serving.Text{
			Item: fmt.Sprint(i), Hash: "h",
			Fields: map[string]string{"title": fmt.Sprint("title ", i), "content": string(bytes.Repeat([]byte("Wort "), 200))},
		}
	}
	return texts
}

// BenchmarkScore scores held-out texts as an evaluation does. It alternates with a bare load generator, so that other
// load on the machine affects both. The generator has as many goroutines as the Scorer; they send prepared bodies over
// kept connections and discard the answers.
func BenchmarkScore(b *testing.B) {
	url, texts := benchService(b), benchTexts()
	s := serving.NewScorer(serving.Config{
		Classify: url, Health: "http://unused",
		Concurrency: scoreConcurrency,
	}.WithDefaults())
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: scoreConcurrency, DisableCompression: true}}
	defer client.CloseIdleConnections()
	bodies := make([][]byte, len(texts))
	for i, t := range texts {
		var err error
		if bodies[i], err = json.Marshal(t.Fields); err != nil {
			b.Fatal(err)
		}
	}
	var ours, bare []time.Duration // one for each turn; other load hardly affects the median
	for b.Loop() {
		for from := 0; from < scoreTexts; from += scoreTurn {
			n, start := 0, time.Now()
			if err := s.Score(context.Background(), texts[from:from+scoreTurn],
				func(serving.Text, serving.Answer) { n++ }); err != nil || n != scoreTurn {
				b.Fatal(n, err)
			}
			between := time.Now()
			load(b, client, url, bodies[from:from+scoreTurn])
			ours, bare = append(ours, between.Sub(start)), append(bare, time.Since(between))
		}
	}
	for unit, took := range map[string][]time.Duration{"texts/s": ours, "bare-texts/s": bare} {
		slices.Sort(took)
		b.ReportMetric(scoreTurn/took[len(took)/2].Seconds(), unit)
	}
}

// load is the bare load generator.
func load(b *testing.B, client *http.Client, url string, bodies [][]byte) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range scoreConcurrency {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(bodies); i = int(next.Add(1)) - 1 {
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
