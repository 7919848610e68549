package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/serving/ollama"
)

// FormatError is the value of every target if a language model gave no usable answer: not JSON, against the schema, cut
// off, with a value that is not a category, or none because the text is too long for the model. It is the model's error
// and counts as wrong. Labels and categories with this name are refused.
const FormatError = "(format error)"

// IsFormatError reports whether an answer is FormatError.
func (a Answers) IsFormatError() bool {
	for _, v := range a {
		if v == FormatError {
			return true
		}
	}
	return false
}

// FormatErrors returns the answers for a model's unusable answer.
func FormatErrors(targets []Target) Answers {
	out := make(Answers, len(targets))
	for _, t := range targets {
		out[t.Name] = FormatError
	}
	return out
}

// languageModel asks a model of an Ollama server.
type languageModel struct {
	config  *OllamaConfig
	targets []Target
	client  *ollama.Client
	prompts *Prompts
	schema  *schema // nil without one
	timeout time.Duration
}

func newLanguageModel(c Config) (*languageModel, error) {
	m := &languageModel{config: c.Ollama, targets: c.List(), timeout: c.Timeout.D()}
	var err error
	if m.client, err = ollama.New(c.Ollama.URL); err != nil {
		return nil, err
	}
	if m.prompts, err = NewPrompts(c.Ollama); err != nil {
		return nil, err
	}
	if c.Ollama.Format != nil {
		m.schema, err = newSchema(c.Ollama.Format)
	}
	return m, err
}

// classify asks about one text, as clients do: the request has the prompt, schema and options, and the model on the
// server has the template. The system prompt is in that model or, if retraind did not create it, in the request.
func (m *languageModel) classify(ctx context.Context, text Text) (Answer, error) {
	start := time.Now()
	prompt, err := m.prompts.Prompt(text.Fields)
	if err != nil {
		return m.unusable(start, err), nil
	}
	asked, stop := context.WithTimeout(ctx, m.timeout)
	defer stop()
	said, err := m.client.Chat(asked, m.config.request(prompt))
	switch {
	case errors.Is(err, ollama.ErrTooLong): // a text that the model cannot read cannot be classified
		return m.unusable(start, err), nil
	case err != nil:
		return Answer{}, m.fault(ctx, "item "+text.Item, err)
	}
	answer, err := m.read(said)
	if err != nil {
		return m.unusable(start, err), nil
	}
	answer.Took = time.Since(start)
	return answer, nil
}

func (m *languageModel) unusable(start time.Time, why error) Answer {
	return Answer{Values: FormatErrors(m.targets), Format: why.Error(), Took: time.Since(start)}
}

// read parses an answer, or returns what is wrong with it.
func (m *languageModel) read(said ollama.Answer) (out Answer, err error) {
	text := []byte(strings.TrimSpace(said.Text))
	switch {
	case said.CutOff():
		return out, fmt.Errorf("the answer was cut off after %d tokens (raise num_predict or num_ctx): %s", said.Tokens,
			Excerpt(text))
	case len(text) == 0:
		return out, errors.New("the answer is empty")
	}
	object, err := decodeAnswer(text)
	if err != nil {
		return out, err
	}
	if m.schema != nil {
		if err := m.schema.check(text); err != nil {
			return out, fmt.Errorf("the answer %s breaks the schema: %w", Excerpt(text), err)
		}
	}
	out.Whole = string(text)
	out.Values, out.Confidence, err = readAnswer(m.targets, object)
	return out, err
}

// fault classifies an error of the server: unreachable, or an unusable answer. Neither counts against the model.
func (m *languageModel) fault(ctx context.Context, about string, err error) error {
	var refused *ollama.Error
	switch url := m.client.URL(); {
	case ctx.Err() != nil:
		return fmt.Errorf("ask %s: %w", url, context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return slow(url, m.timeout)
	case errors.Is(err, ollama.ErrBusy), errors.Is(err, ollama.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrAsleep, err)
	case errors.Is(err, ollama.ErrAway) && errors.As(err, &refused) && refused.Status != 0: // a proxy reports it
		return fmt.Errorf("%w: %w", ErrAsleep, err)
	case errors.Is(err, ollama.ErrAway):
		return transportError(ctx, url, err, m.timeout)
	default:
		return &ServiceError{URL: url, About: about, Cause: err}
	}
}

// health returns which model is deployed, and its runtime.
func (m *languageModel) health(ctx context.Context) (HealthInfo, error) {
	ctx, stop := context.WithTimeout(ctx, m.timeout)
	defer stop()
	version, err := m.client.Version(ctx)
	if err != nil {
		return HealthInfo{}, m.fault(ctx, "", err)
	}
	list, err := m.client.Models(ctx)
	if err != nil {
		return HealthInfo{}, m.fault(ctx, "", err)
	}
	info := HealthInfo{Runtime: "ollama " + version}
	names := map[string]string{}
	for _, model := range list {
		names[model.Name] = model.Digest
	}
	digest := names[ollama.Tagged(m.config.Model)]
	if digest == "" {
		return info, fmt.Errorf("%w: the Ollama server at %s has no model %s; was it created? see ollama list",
			ErrAsleep, m.client.URL(), m.config.Model)
	}
	info.OK = true
	info.Release = releaseOf(m.config.Model, digest, names)
	if running, err := m.client.Running(ctx); err == nil { // optional: a failure is ignored
		for _, r := range running {
			if r.Digest == digest {
				info.Size, info.VRAM = r.Size, r.VRAM
			}
		}
	}
	raw, err := json.Marshal(map[string]string{"version": version, "model": m.config.Model, "digest": digest})
	info.Raw = Excerpt(raw)
	return info, err
}

// releaseOf returns the release whose tag has the digest of the deployed model. If releases have tags and none of them
// has that digest, another model is deployed, and its own digest is returned. Without release tags the result is empty.
func releaseOf(model, digest string, names map[string]string) string {
	known := false
	for name, d := range names {
		release, ok := ollama.ReleaseOf(model, name)
		if !ok {
			continue
		}
		if d == digest {
			return release
		}
		known = true
	}
	if known {
		return "sha256:" + digest
	}
	return ""
}
