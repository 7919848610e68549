package actions

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// A slow language model is asked about as many texts as the time allows, and its runtime is stored with the
// verification.
func TestProofOfALanguageModel(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	c := ollamatest.Classifier{Words: map[string][]string{"goal": {"sport"}, "vote": {"politics"}}}
	c.Install(t, f.URL, "news", "")
	scorer := serving.NewScorer(serving.Config{
		Ollama: &serving.OllamaConfig{
			Model: "news", URL: f.URL, Format: []byte(`{"type":"object","properties":{"label":{"enum":["politics","sport"]}}}`),
		},
		Concurrency: 1,
	})
	defer scorer.Close()
	var ask []probe
	for i := range 100 {
		word, label := "goal", "sport"
		if i%2 == 1 {
			word, label = "vote", "politics"
		}
		ask = append(ask, probe{
			text: serving.Text{Item: fmt.Sprint(i), Fields: map[string]string{"title": word}}, want: serving.Answers{"label": label},
		})
	}
	prove := func(within time.Duration) (VerifyFacts, string) {
		config := PromoteConfig{VerifyWithin: unit.Duration(within)}.WithDefaults()
		facts, why := proof{scorer: scorer, gate: "label", promote: config, probes: ask, health: "sha256:x"}.once(t.Context())
		return facts, why
	}
	if facts, why := prove(time.Hour); why != "" || facts.Probed != 100 || facts.Agreed != 100 ||
		facts.Runtime != "ollama 0.17.4" {
		t.Errorf("fast: %+v, %s", facts, why)
	}
	f.Break(func(r *http.Request) (int, string) {
		if r.URL.Path == "/api/chat" {
			<-time.After(5 * time.Millisecond)
		}
		return 0, ""
	})
	if facts, why := prove(400 * time.Millisecond); why != "" || facts.Probed != fewest {
		t.Errorf("slow: %+v, %s", facts, why)
	}
}
