package status

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Pin says who wants a release kept.
type Pin struct {
	// By is the author. On the socket the server sets it from the peer's credentials.
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// pins adds the endpoints that pin releases.
func (a api) pins(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/models/{model}/releases/{release}/pin", answer(func(r *http.Request) (any, error) {
		var p Pin
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
			return nil, badBody(err)
		}
		p.By = a.audit(r)
		return a.backend.Pin(ordered(r), r.PathValue("model"), r.PathValue("release"), p)
	}))
	mux.HandleFunc("POST /v1/models/{model}/releases/{release}/unpin", answer(func(r *http.Request) (any, error) {
		by := a.audit(r)
		return a.backend.Unpin(ordered(r), r.PathValue("model"), r.PathValue("release"), by)
	}))
}

// Pin implements Backend. Pin.By is ignored: the daemon gets the author from the kernel.
func (c *Client) Pin(ctx context.Context, model, release string, p Pin) (d Done, err error) {
	return d, c.post(ctx, ofModel(model)+"/releases/"+url.PathEscape(release)+"/pin", p, &d)
}

// Unpin implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Unpin(ctx context.Context, model, release, _ string) (d Done, err error) {
	return d, c.post(ctx, ofModel(model)+"/releases/"+url.PathEscape(release)+"/unpin", nil, &d)
}
