package status

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Every, in place of a model's name, means all models.
const Every = ""

// Pause is a person's order not to start runs.
type Pause struct {
	// By is the author. On the socket the server sets it from the peer's credentials.
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Until is when it ends automatically; zero means until somebody resumes.
	Until time.Time `json:"until,omitzero"`
	// Every means that it applies to all models.
	Every bool `json:"every,omitempty"`
}

// pauses adds the endpoints that stop and resume runs.
func (a api) pauses(mux *http.ServeMux) {
	order := func(carryOut func(*http.Request, Pause) error) http.HandlerFunc {
		return answer(func(r *http.Request) (any, error) {
			var p Pause
			if err := json.NewDecoder(r.Body).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
				return nil, badBody(err)
			}
			p.By = a.audit(r)
			return struct{}{}, carryOut(r, p)
		})
	}
	pause := order(func(r *http.Request, p Pause) error { return a.backend.Pause(ordered(r), r.PathValue("model"), p) })
	resume := order(func(r *http.Request,
		p Pause,
	) error {
		return a.backend.Resume(ordered(r), r.PathValue("model"), p.By)
	})
	mux.HandleFunc("POST /v1/pause", pause)
	mux.HandleFunc("POST /v1/resume", resume)
	mux.HandleFunc("POST /v1/models/{model}/pause", pause)
	mux.HandleFunc("POST /v1/models/{model}/resume", resume)
	mux.HandleFunc("POST /v1/models/{model}/hold", order(func(r *http.Request, p Pause) error {
		return a.backend.Hold(ordered(r), r.PathValue("model"), p)
	}))
}
