package ollamatest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fakeKey is the key under which a model file describes its Classifier; the real server ignores it.
const fakeKey = "retraind.classifier"

// classifierIn reads the Classifier of a model file; the zero one if there is none.
func classifierIn(file []byte) Classifier {
	var c Classifier
	_, rest, ok := bytes.Cut(file, []byte(fakeKey))
	if !ok || len(rest) < 12 {
		return c
	}
	n := binary.LittleEndian.Uint64(rest[4:])
	if rest = rest[12:]; uint64(len(rest)) >= n {
		_ = json.Unmarshal(rest[:n], &c)
	}
	return c
}

func (c Classifier) context() int {
	if c.Context == 0 {
		return 4096
	}
	return c.Context
}

var word = regexp.MustCompile(`[\p{L}\p{M}]+|\p{N}`)

// answer returns the model's answer: one label, or an object for a schema.
func (c Classifier) answer(text string, format json.RawMessage) (string, error) {
	votes := map[string]int{}
	for _, w := range word.FindAllString(text, -1) {
		for _, l := range c.Words[w] {
			votes[l]++
		}
	}
	best := func(among []string) string {
		lean := c.Else
		if len(lean) == 0 {
			lean = c.Labels()[:1]
		}
		return slices.MaxFunc(among, func(a, b string) int {
			weight := func(l string) int {
				if slices.Contains(lean, l) {
					return 2*votes[l] + 1
				}
				return 2 * votes[l]
			}
			return weight(a) - weight(b)
		})
	}
	if len(format) == 0 {
		return best(c.Labels()), nil
	}
	var schema struct {
		Type       string
		Properties map[string]struct {
			Type, Pattern string
			Enum          []string
		}
		Required []string
	}
	if err := json.Unmarshal(format, &schema); err != nil || schema.Type != "object" {
		return "", fmt.Errorf("invalid JSON schema in format")
	}
	var parts []string
	for _, name := range propertyOrder(format) {
		p := schema.Properties[name]
		var value string
		switch {
		case p.Pattern != "" && (!strings.HasPrefix(p.Pattern, "^") || !strings.HasSuffix(p.Pattern, "$")):
			return "", fmt.Errorf("invalid JSON schema in format")
		case len(p.Enum) > 0:
			value = fmt.Sprintf("%q", best(p.Enum))
		case p.Type == "boolean":
			value = best([]string{"false", "true"})
		case p.Type == "array":
			value = "[]"
		default:
			value = fmt.Sprintf("%q", best(c.Labels()))
		}
		parts = append(parts, fmt.Sprintf("%q:%s", name, value))
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// propertyOrder returns the properties of a schema as they are ordered in its text, and therefore in an answer.
func propertyOrder(schema json.RawMessage) []string {
	var s struct{ Properties json.RawMessage }
	if json.Unmarshal(schema, &s) != nil {
		return nil
	}
	var names []string
	dec := json.NewDecoder(bytes.NewReader(s.Properties))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		var skipped json.RawMessage
		if err != nil || dec.Decode(&skipped) != nil {
			return names
		}
		names = append(names, fmt.Sprint(name))
	}
	return names
}

type question struct {
	Model     string
	Prompt    string
	Messages  []struct{ Role, Content string }
	Format    json.RawMessage
	Options   map[string]any
	KeepAlive *json.RawMessage `json:"keep_alive"`
	Truncate  *bool
}

// keep returns when a model that gets the request now is unloaded again, and false if the request unloads it at once.
func (q question) keep() (time.Time, bool) {
	const usual = 5 * time.Minute
	var seconds float64
	var text string
	switch {
	case q.KeepAlive == nil:
	case json.Unmarshal(*q.KeepAlive, &seconds) == nil:
		d := time.Duration(seconds * float64(time.Second))
		return expiry(d), d != 0
	case json.Unmarshal(*q.KeepAlive, &text) == nil:
		d, err := time.ParseDuration(text)
		return expiry(d), d != 0 && err == nil
	}
	return time.Now().Add(usual), true
}

func expiry(d time.Duration) time.Time {
	if d < 0 {
		d = 1<<63 - 1
	}
	return time.Now().Add(d)
}

// load loads or unloads a model. If it cannot, it answers with an error and returns false.
func (f *Fake) load(w http.ResponseWriter, q question, empty bool) (manifest, bool) {
	m, ok := f.models[tagged(q.Model)]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Sprintf("model '%s' not found", q.Model))
		return m, false
	}
	until, stays := q.keep()
	if !stays && empty {
		delete(f.running, m.Blob)
		return m, true
	}
	if c := classifierIn(f.blobs[m.Blob]); len(c.Labels()) == 0 || c.Architecture != "" {
		refuse(w, http.StatusInternalServerError, "unable to load model: "+m.Blob)
		return m, false
	}
	l, ok := f.running[m.Blob]
	if !ok {
		l = loaded{tagged(q.Model), m, until}
	}
	l.expires = until
	f.running[m.Blob] = l
	return m, true
}

func (f *Fake) generate(w http.ResponseWriter, r *http.Request) {
	var q question
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.load(w, q, q.Prompt == ""); ok {
		f.answer(w, q, m, q.Prompt, func(text string) map[string]any { return map[string]any{"response": text} })
	}
}

func (f *Fake) chat(w http.ResponseWriter, r *http.Request) {
	var q question
	if !hear(w, r, &q) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.load(w, q, len(q.Messages) == 0)
	if !ok {
		return
	}
	prompt := ""
	for _, message := range q.Messages {
		if message.Role == "system" {
			m.System = message.Content
		} else {
			prompt += message.Content
		}
	}
	f.answer(w, q, m, prompt, func(text string) map[string]any {
		return map[string]any{"message": map[string]string{"role": "assistant", "content": text}}
	})
}

func (f *Fake) answer(w http.ResponseWriter, q question, m manifest, prompt string, in func(string) map[string]any) {
	if prompt == "" {
		answer := in("")
		answer["done"], answer["done_reason"] = true, "load"
		if _, loaded := f.running[m.Blob]; !loaded {
			answer["done_reason"] = "unload"
		}
		say(w, answer)
		return
	}
	if strings.Contains(m.Template, ".System") {
		prompt = m.System + " " + prompt
	}
	c := classifierIn(f.blobs[m.Blob])
	if q.Truncate != nil && !*q.Truncate && c.tokens(prompt) >= c.context() {
		refuse(w, http.StatusBadRequest, "the input length exceeds the context length")
		return
	}
	text, err := c.answer(prompt, q.Format)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	reason := "stop"
	if most, ok := q.Options["num_predict"].(float64); ok && most >= 0 && len(text) > int(most) {
		text, reason = text[:int(most)], "length"
	}
	answer := in(text)
	answer["done"], answer["done_reason"] = true, reason
	answer["prompt_eval_count"], answer["eval_count"] = c.tokens(prompt), len(text)
	say(w, answer)
}

var control = regexp.MustCompile(`<\|[a-z_]+\|>`)

// tokens returns the number of tokens of a text: one for each known word, each control token, and each other byte.
func (c Classifier) tokens(text string) int {
	n := len(text)
	if n > 64*c.context() {
		return n // too long, whatever the words are
	}
	for _, token := range control.FindAllString(text, -1) {
		n -= len(token) - 1
	}
	for _, w := range word.FindAllString(text, -1) {
		if _, ok := c.Words[w]; ok {
			n -= len(w) - 1
		}
	}
	return n
}
