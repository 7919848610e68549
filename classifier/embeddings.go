package classifier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// Embeddings is a service that turns texts into vectors: Ollama's /api/embed or an OpenAI-compatible /v1/embeddings.
type Embeddings struct {
	URL   string `json:"url"`
	Model string `json:"model"`
	// Cache is a file that stores vectors by the hash of their text; "" disables it.
	Cache string `json:"-"`
}

const (
	embedAtOnce  = 32
	embedTimeout = 2 * time.Minute // for one request, including loading the model
	maxEmbedding = 64 << 20        // bytes of one answer
	maxDims      = 1 << 14
)

// ErrEmbeddings marks a failed request to the embedding service, or an invalid answer from it.
var ErrEmbeddings = errors.New("no embeddings")

// Embed returns a vector of Euclidean length 1 for each text. Texts in the cache are not sent.
func (e *Embeddings) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	cache, err := openCache(e.Cache, e.Model)
	if err != nil {
		return nil, err
	}
	defer cache.close()
	out := make([][]float32, len(texts))
	var missing []int
	for i, text := range texts {
		if out[i] = cache.get(text); out[i] == nil {
			missing = append(missing, i)
		}
	}
	for len(missing) > 0 {
		part := missing[:min(len(missing), embedAtOnce)]
		missing = missing[len(part):]
		ask := make([]string, len(part))
		for j, i := range part {
			ask[j] = texts[i]
		}
		vectors, err := e.ask(ctx, ask)
		if err != nil {
			return nil, fmt.Errorf("%w from %s: %w", ErrEmbeddings, e.shown(), err)
		}
		for j, i := range part {
			out[i] = vectors[j]
			if err := cache.put(texts[i], vectors[j]); err != nil {
				return nil, err
			}
		}
	}
	for i := range out {
		if len(out[i]) != len(out[0]) {
			return nil, fmt.Errorf("%w from %s: one embedding has %d numbers and another has %d; was the model %s replaced? if so, remove the cache file",
				ErrEmbeddings, e.shown(), len(out[0]), len(out[i]), e.Model)
		}
	}
	return out, nil
}

// shown returns the service's URL without its password.
func (e *Embeddings) shown() string { return text.URL(e.URL) }

// ask sends one request to the service. Both kinds of service accept the same request, but their answers differ.
func (e *Embeddings) ask(ctx context.Context, texts []string) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, embedTimeout)
	defer cancel()
	for i := range texts {
		if texts[i] == "" {
			texts[i] = " " // the services refuse an empty input
		}
	}
	body, err := json.Marshal(map[string]any{"model": e.Model, "input": texts})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("it is not a URL") // the error itself would show the password
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxEmbedding))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d %s", response.StatusCode, serving.Excerpt(answer))
	}
	return readEmbeddings(answer, len(texts))
}

// readEmbeddings parses Ollama's {"embeddings": […]} or OpenAI's {"data": [{"index", "embedding"}, …]}.
func readEmbeddings(answer []byte, n int) ([][]float32, error) {
	var got struct {
		Embeddings [][]float32
		Data       []struct {
			Index     int
			Embedding []float32
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, fmt.Errorf("the answer is not the JSON that is expected: %w", err)
	}
	out := got.Embeddings
	if out == nil {
		out = make([][]float32, len(got.Data))
		for _, d := range got.Data {
			if d.Index < 0 || d.Index >= len(out) || out[d.Index] != nil {
				return nil, fmt.Errorf("the index %d is repeated or out of range; number of embeddings: %d", d.Index, len(out))
			}
			out[d.Index] = d.Embedding
		}
	}
	if len(out) != n {
		return nil, fmt.Errorf("the numbers of embeddings (%d) and of texts (%d) differ: %s", len(out), n, serving.Excerpt(answer))
	}
	for _, v := range out {
		if len(v) == 0 || len(v) > maxDims {
			return nil, fmt.Errorf("an embedding has %d numbers, want 1 to %d", len(v), maxDims)
		}
		var square float64
		for _, x := range v {
			square += float64(x) * float64(x)
		}
		for i := range v {
			v[i] *= float32(1 / math.Sqrt(max(square, 1e-30)))
		}
	}
	return out, nil
}

// rows returns the embeddings of all texts as features.
func (e *Embeddings) rows(ctx context.Context, texts []map[string]string) ([]vector, error) {
	list := make([]string, len(texts))
	for i, fields := range texts {
		if list[i] = textOf(fields); len(list[i]) > maxText {
			list[i] = list[i][:maxText]
		}
	}
	vectors, err := e.Embed(ctx, list)
	if err != nil {
		return nil, err
	}
	rows := make([]vector, len(vectors))
	for i, v := range vectors {
		rows[i] = vector{index: make([]uint32, len(v)), value: v, words: len(v)}
		for d := range v {
			rows[i].index[d] = uint32(d)
		}
	}
	return rows, nil
}
