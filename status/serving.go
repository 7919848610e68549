package status

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Served says what the service really serves.
type Served struct {
	// State is proved, foreign, or unknown where there is no release yet or the service could not be asked.
	State  ServedState `json:"state"`
	Proved time.Time   `json:"proved,omitzero"` // when it was last seen to answer as the champion
	Since  time.Time   `json:"since,omitzero"`  // since when something else serves
	As     string      `json:"as,omitempty"`    // digest of what serves instead, empty when unknown
	Text   string      `json:"text"`            // in one sentence
}

// ServedState is whether the champion serves.
type ServedState string

// The states of what is served.
const (
	ServedProved  ServedState = "proved"
	ServedForeign ServedState = "foreign"
	ServedUnknown ServedState = "unknown"
)

// Done says in one sentence what was done.
type Done struct {
	Text string `json:"text"`
}

// serving adds what looks at the service to the handler.
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

// Adopt implements Serving. by is ignored: the daemon sees who asks.
func (c *Client) Adopt(ctx context.Context, model, _ string) (d Done, err error) {
	return d, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/adopt", nil, &d)
}

// Redeploy implements Serving. by is ignored: the daemon sees who asks.
func (c *Client) Redeploy(ctx context.Context, model, _ string) (d Done, err error) {
	return d, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/redeploy", nil, &d)
}
