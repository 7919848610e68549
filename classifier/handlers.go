package classifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/retraind/retraind/serving"
)

const (
	maxBody  = 16 << 20
	maxBatch = 10_000
)

// Result is the answer to one text for the deciding target. If a model has several targets, or if the only one is not
// named "label", the response also has two fields for each target: NAME, which is a text, a boolean or a list, and
// NAME_confidence.
type Result struct {
	Label      string  `json:"label"`
	Confidence float64 `json:"confidence"`
	Release    string  `json:"release"`
}

type health struct {
	Status     string    `json:"status"`
	Release    string    `json:"release,omitempty"`
	Categories []string  `json:"categories,omitempty"`
	Targets    []string  `json:"targets,omitempty"`
	Examples   int       `json:"examples,omitempty"`
	LoadedAt   time.Time `json:"loaded_at,omitzero"`
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("POST /classify", s.classify)
	mux.HandleFunc("POST /classify/batch", s.batch)
	for path, method := range map[string]string{"/health": "GET", "/classify": "POST", "/classify/batch": "POST"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", method)
			fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s accepts %s, not %s", path, method, r.Method))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound,
			fmt.Sprintf("no such path %s; there are GET /health, POST /classify and POST /classify/batch", strconv.Quote(r.URL.Path)))
	})
	return mux
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	c := s.current.Load()
	if c == nil {
		write(w, http.StatusServiceUnavailable, health{Status: "no model"})
		return
	}
	write(w, http.StatusOK, health{"ok", c.digest, c.model.Categories(), c.model.targets(), c.model.Examples, c.at})
}

func (s *Server) classify(w http.ResponseWriter, r *http.Request) {
	c := s.current.Load() // loaded once, so that the answer and the release are from one model
	if c == nil {
		fail(w, http.StatusServiceUnavailable, "no model is loaded")
		return
	}
	var fields map[string]string
	if status, err := decodeBody(w, r, &fields); err != nil {
		fail(w, status, err.Error())
		return
	}
	if len(fields) == 0 {
		fail(w, http.StatusBadRequest, `no text: send {"title": "…", "content": "…"}`)
		return
	}
	results, err := s.results(r.Context(), c, []map[string]string{fields})
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	write(w, http.StatusOK, results[0])
}

func (s *Server) batch(w http.ResponseWriter, r *http.Request) {
	c := s.current.Load()
	if c == nil {
		fail(w, http.StatusServiceUnavailable, "no model is loaded")
		return
	}
	var request struct {
		Items []map[string]string `json:"items"`
	}
	if status, err := decodeBody(w, r, &request); err != nil {
		fail(w, status, err.Error())
		return
	}
	if len(request.Items) > maxBatch {
		fail(w, http.StatusBadRequest, fmt.Sprintf("%d items in one request, at most %d are allowed", len(request.Items),
			maxBatch))
		return
	}
	for i, fields := range request.Items {
		if len(fields) == 0 {
			fail(w, http.StatusBadRequest, fmt.Sprintf("items[%d] has no text", i))
			return
		}
	}
	results, err := s.results(r.Context(), c, request.Items)
	if r.Context().Err() != nil {
		return // the client is gone
	}
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	write(w, http.StatusOK, struct {
		Results []any `json:"results"`
	}{results})
}

func (s *Server) results(ctx context.Context, c *loaded, texts []map[string]string) ([]any, error) {
	ctx, stop := context.WithTimeoutCause(ctx, s.answerTime, fmt.Errorf("no answer within %v", s.answerTime))
	defer stop()
	answers, err := c.model.AnswerAll(ctx, texts)
	if err != nil {
		return nil, err
	}
	results := make([]any, len(answers))
	for i, list := range answers {
		results[i] = c.result(list)
	}
	return results, nil
}

// result returns a Result, with the additional fields of the targets if necessary.
func (c *loaded) result(list []Answered) any {
	first := Result{list[0].Value, list[0].Confidence, c.digest}
	if len(list) == 1 && c.model.Heads[0].Name == "label" {
		return first
	}
	out := map[string]any{"label": first.Label, "confidence": first.Confidence}
	for i, h := range c.model.Heads {
		out[h.Name] = serving.Target{Kind: h.Kind}.JSON(list[i].Value)
		out[h.Name+"_confidence"] = list[i].Confidence
	}
	out["release"] = c.digest // last, so that no target can override it: deployments are verified by it
	return out
}

func decodeBody(w http.ResponseWriter, r *http.Request, into any) (int, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", maxBody)
	case err != nil:
		return http.StatusBadRequest, fmt.Errorf("read the body: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return http.StatusBadRequest, fmt.Errorf("the body is not the JSON that is expected: %w", err)
	}
	return http.StatusOK, nil
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // an error here means that the client is gone
}

func fail(w http.ResponseWriter, status int, reason string) {
	write(w, status, struct {
		Error string `json:"error"`
	}{reason})
}
