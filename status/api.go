package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody is the maximum size of a request's body in bytes, maxLabels that of a body with label events.
const (
	maxBody   = 64 << 10
	maxLabels = 8 << 20
)

// API returns the control socket's handler: JSON over HTTP, versioned by path.
func API(backend Backend, log *slog.Logger) http.Handler {
	a := api{backend, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", answer(func(r *http.Request) (any, error) { return backend.Snapshot(r.Context()) }))
	mux.HandleFunc("GET /v1/models/{model}/explain", answer(a.explain))
	mux.HandleFunc("GET /v1/models/{model}/history", answer(a.history))
	mux.HandleFunc("GET /v1/models/{model}/diagnosis", answer(func(r *http.Request) (any, error) {
		return backend.Diagnose(r.Context(), r.PathValue("model"))
	}))
	mux.HandleFunc("GET /v1/models/{model}/releases", answer(func(r *http.Request) (any, error) {
		return backend.Releases(r.Context(), r.PathValue("model"))
	}))
	mux.HandleFunc("GET /v1/runs", answer(a.runs))
	mux.HandleFunc("GET /v1/runs/{run}",
		answer(func(r *http.Request) (any, error) { return backend.Run(r.Context(), r.PathValue("run")) }))
	mux.HandleFunc("GET /v1/events", events(backend))
	mux.HandleFunc("POST /v1/models/{model}/trigger", answer(a.trigger))
	mux.HandleFunc("POST /v1/models/{model}/labels", answerUpTo(maxLabels, func(r *http.Request) (any, error) {
		var h handed
		if err := json.NewDecoder(r.Body).Decode(&h); err != nil {
			return nil, badBody(err)
		}
		return backend.AddLabels(ordered(r), r.PathValue("model"), h.Events, a.audit(r), h.Run)
	}))
	mux.HandleFunc("POST /v1/models/{model}/labels/accept", answer(func(r *http.Request) (any, error) {
		by := a.audit(r)
		return struct{}{}, backend.AcceptLabels(ordered(r), r.PathValue("model"), by)
	}))
	mux.HandleFunc("POST /v1/models/{model}/evaluate", answer(func(r *http.Request) (any, error) {
		a.audit(r)
		return backend.Evaluate(r.Context(), r.PathValue("model"))
	}))
	a.pauses(mux)
	a.serving(mux)
	a.pins(mux)
	mux.HandleFunc("POST /v1/runs/{run}/cancel", answer(func(r *http.Request) (any, error) {
		by := a.audit(r)
		return struct{}{}, backend.Cancel(ordered(r), r.PathValue("run"), by)
	}))
	mux.HandleFunc("POST /v1/runs/{run}/retry", answer(a.retry))
	mux.HandleFunc("POST /v1/reload", answer(func(r *http.Request) (any, error) {
		a.audit(r)
		return struct{}{}, backend.Reload(ordered(r))
	}))
	return mux
}

type api struct {
	backend Backend
	log     *slog.Logger
}

// errBadRequest is a malformed request; our clients send none.
var errBadRequest = errors.New("bad request")

// badBody returns the error for a request body that cannot be decoded.
func badBody(err error) error {
	return fmt.Errorf("%w: the JSON body cannot be read: %w", errBadRequest, err)
}

// answer turns a function into a handler that writes its value, or its error, as JSON.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc { return answerUpTo(maxBody, f) }

func answerUpTo(limit int64, f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		v, err := f(r)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, v)
	}
}

func (a api) explain(r *http.Request) (any, error) {
	var at time.Time
	if text := r.FormValue("at"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fmt.Errorf("%w: parameter at: %w", errBadRequest, err)
		}
	}
	return a.backend.Explain(r.Context(), r.PathValue("model"), r.FormValue("run"), at)
}

func (a api) history(r *http.Request) (any, error) {
	since, err := time.Parse(time.RFC3339, r.FormValue("since"))
	if err != nil {
		return nil, fmt.Errorf("%w: parameter since: %w", errBadRequest, err)
	}
	return a.backend.History(r.Context(), r.PathValue("model"), since)
}

func (a api) runs(r *http.Request) (any, error) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		return nil, fmt.Errorf("%w: parameter limit %q: must be a number above 0", errBadRequest, r.FormValue("limit"))
	}
	return a.backend.Runs(r.Context(), r.FormValue("model"), limit)
}

func (a api) trigger(r *http.Request) (any, error) {
	var request Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil && !errors.Is(err, io.EOF) {
		return nil, badBody(err)
	}
	request.By = a.audit(r)
	return a.backend.Trigger(ordered(r), r.PathValue("model"), request)
}

func (a api) retry(r *http.Request) (any, error) {
	var request retryRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil && !errors.Is(err, io.EOF) {
		return nil, badBody(err)
	}
	by := a.audit(r)
	return a.backend.Retry(ordered(r), r.PathValue("run"), request.From, by)
}

// retryRequest is the request to repeat a run.
type retryRequest struct {
	From string `json:"from,omitempty"` // "" = the failed step
}

// ordered returns a context for a request that changes something: the request is carried out even if the client
// disconnects before the answer.
func ordered(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// audit logs who asked for a change and returns the name.
func (a api) audit(r *http.Request) string {
	by := "somebody"
	if peer, ok := peerOf(r.Context()); ok {
		by = peer.String()
	}
	a.log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelInfo, "request on the control socket",
		slog.String("request", r.URL.Path), slog.String("by", by))
	return by
}

// failure is an error as sent over the socket.
type failure struct {
	Kind    string `json:"kind"` // not_found, refused, bad_request, busy, failed
	Message string `json:"message"`
}

func writeError(w http.ResponseWriter, err error) {
	f, code := failure{"failed", err.Error()}, http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrNotFound):
		f.Kind, code = "not_found", http.StatusNotFound
	case errors.Is(err, ErrRefused):
		f.Kind, code = "refused", http.StatusForbidden
	case errors.Is(err, errBadRequest):
		f.Kind, code = "bad_request", http.StatusBadRequest
	case errors.Is(err, errBusy):
		f.Kind, code = "busy", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	for _, kind := range []error{ErrNotFound, ErrRefused, errBadRequest, errBusy} { // the kind is sent separately
		f.Message = strings.TrimPrefix(f.Message, kind.Error()+": ")
	}
	writeJSON(w, code, map[string]failure{"error": f})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		code, data = http.StatusInternalServerError,
			[]byte(`{"error":{"kind":"failed","message":"the answer cannot be written as JSON"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	w.Write(append(data, '\n')) // if the client is gone, nobody needs the answer
}
