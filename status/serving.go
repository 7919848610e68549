package status

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Served is what the service really serves.
type Served struct {
	// State is proved or foreign; it is unknown if there is no release yet or the service could not be queried.
	State  ServedState `json:"state"`
	Proved time.Time   `json:"proved,omitzero"` // when it was last verified to answer as the champion
	Since  time.Time   `json:"since,omitzero"`  // since when another model is served
	As     string      `json:"as,omitempty"`    // digest of what is served instead, empty if unknown
	Text   string      `json:"text"`            // in one sentence
	// Notice is a problem although the champion serves: it is no longer wholly on the GPU.
	Notice string `json:"notice,omitempty"`
}

// ServedState is whether the champion is served.
type ServedState string

// The states of what is served.
const (
	ServedProved  ServedState = "proved"
	ServedForeign ServedState = "foreign"
	ServedUnknown ServedState = "unknown"
)

// Done describes in one sentence what was done.
type Done struct {
	Text string `json:"text"`
}

// serving adds the endpoints about the served model.
func (a api) serving(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/models/{model}/verify", answer(func(r *http.Request) (any, error) {
		a.audit(r)
		return a.backend.Verify(r.Context(), r.PathValue("model"))
	}))
	mux.HandleFunc("POST /v1/models/{model}/adopt", answer(func(r *http.Request) (any, error) {
		by := a.audit(r)
		return a.backend.Adopt(ordered(r), r.PathValue("model"), by)
	}))
	mux.HandleFunc("POST /v1/models/{model}/redeploy", answer(func(r *http.Request) (any, error) {
		by := a.audit(r)
		return a.backend.Redeploy(ordered(r), r.PathValue("model"), by)
	}))
}

// Verify implements Serving.
func (c *Client) Verify(ctx context.Context, model string) (s Served, err error) {
	return s, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/verify", nil, &s)
}

// Adopt implements Serving. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Adopt(ctx context.Context, model, _ string) (d Done, err error) {
	return d, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/adopt", nil, &d)
}

// Redeploy implements Serving. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Redeploy(ctx context.Context, model, _ string) (d Done, err error) {
	return d, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/redeploy", nil, &d)
}
