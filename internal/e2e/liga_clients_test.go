//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/retraind/retraind/serving/ollama"
)

// clients continuously send requests to the serving name, as other programs do. They do not use the proxy of the test.
type clients struct {
	stop func()

	mu       sync.Mutex
	answers  map[string]int // number of answers, by question and answer
	allowed  map[string][]string
	wrong    []string
	failures map[string]int
}

// One question for each topic that a release may know.
var questions = map[string]string{"haushalt": "gesetz meldung\nkoalition", "verkehr": "stau meldung\ntunnel"}

func (s *studio) ask(server *ollama.Client) *clients {
	c := &clients{answers: map[string]int{}, failures: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for topic, text := range questions {
				c.one(ctx, server, topic, text)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	c.stop = sync.OnceFunc(func() { cancel(); <-ended })
	s.t.Cleanup(c.stop)
	return c
}

func (c *clients) one(ctx context.Context, server *ollama.Client, topic, text string) {
	c.mu.Lock()
	before := slices.Clone(c.allowed[topic])
	c.mu.Unlock()
	answer, err := answerOf(ctx, server, liga, text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		c.failures[cut(err.Error())]++
		return
	}
	c.answers[topic+": "+answer]++
	if !slices.Contains(append(before, c.allowed[topic]...), answer) {
		c.wrong = append(c.wrong, topic+": "+answer)
	}
}

// answerOf returns a model's answer to a text in a short form, such as "true hoch".
func answerOf(ctx context.Context, server *ollama.Client, model, text string) (string, error) {
	out, err := server.Chat(ctx, ollama.ChatRequest{
		Model: model, Messages: []ollama.Message{{Role: "user", Content: text}}, Format: json.RawMessage(answerSchema),
		Options: map[string]any{"temperature": 0, "seed": 1},
	})
	if err != nil {
		return "", err
	}
	var a struct {
		Relevant bool
		Priority string
	}
	if json.Unmarshal([]byte(out.Text), &a) != nil {
		return out.Text, nil
	}
	return fmt.Sprint(a.Relevant, " ", a.Priority), nil
}

// may sets the answers that clients may get about the topic verkehr, from the serving release or the candidate. All
// releases give the same answer about the topic haushalt.
func (c *clients) may(answers ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed = map[string][]string{"haushalt": {"true hoch"}, "verkehr": answers}
}

// failed reports whether a request failed.
func (c *clients) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.failures) > 0
}

// report stops the clients, prints their answers, and reports wrong answers as errors.
func (c *clients) report(s *studio) {
	s.t.Helper()
	c.stop()
	s.t.Logf("clients: answers %v, failures %v", c.answers, c.failures)
	if len(c.wrong) > 0 {
		s.t.Errorf("clients got %d answers of a release that should not have served at that time: %v",
			len(c.wrong), c.wrong[:min(5, len(c.wrong))])
	}
	if c.answers["haushalt: true hoch"] < 20 {
		s.t.Error("the clients got fewer than 20 answers about haushalt")
	}
}

func cut(text string) string { return text[:min(len(text), 90)] }
