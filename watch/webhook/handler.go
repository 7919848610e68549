// Package webhook receives label events by HTTP.
//
// It authenticates senders, by a secret in a header or by a signature, and answers requests. A Handler is safe for
// concurrent use. It never answers 202 before the events are stored, never logs a secret, and never opens a listener:
// the daemon opens it, because several models may share one listener.
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

const (
	maxBody = 4 << 20
	// maxBodies bounds how many large bodies are in memory at a time. Bodies up to smallBody are not counted, because
	// the number of connections is bounded.
	maxBodies = 4
	smallBody = 64 << 10
	// unsignedTimeout is how long a body may take to arrive before its signature is checked.
	unsignedTimeout = 2 * time.Second
	// maxSkew is how far the time of a signature may differ from now.
	maxSkew = 5 * time.Minute
)

// Handler receives label events from requests. It is an http.Handler for the path of its model, and implements
// watch.Source. The daemon owns the listener, because several models may share it.
type Handler struct {
	*watch.Retrier
	cfg     *Config
	decoder *labelevent.Decoder
	inbox   watch.Inbox
	slots   chan struct{} // one token for each large body in memory
	failed  chan error    // the last error of storing events, until Run has received it
}

var (
	_ watch.Source = (*Handler)(nil)
	_ http.Handler = (*Handler)(nil)
)

// New returns the source of a model's requests. poke is called after each batch in which events were stored, with their
// number; it must not block.
func New(model string, cfg *Config, decoder *labelevent.Decoder, inbox watch.Inbox, poke func(n int),
	log *slog.Logger,
) *Handler {
	return &Handler{
		Retrier: watch.NewRetrier(model, watch.SourceHTTP, poke, log), cfg: cfg, decoder: decoder,
		inbox: inbox, slots: make(chan struct{}, maxBodies), failed: make(chan error, 1),
	}
}

// Name implements watch.Source.
func (s *Handler) Name() string { return watch.SourceHTTP }

// Probe checks that the secret can be read.
func (s *Handler) Probe(context.Context) error { return s.cfg.Probe() }

// Probe checks that the secret file can be read.
func (c *Config) Probe() error {
	if _, err := c.secret(); err != nil {
		return &watch.Fault{
			Key: "secret_file", Cause: watch.OneLine(err),
			Cure:      "write a secret of at least 8 characters into the file, and make it readable for the user that runs retraind",
			Permanent: true, Err: err,
		}
	}
	return nil
}

// Run implements watch.Source. It marks the source as up, and again after ServeHTTP, which handles the requests, could
// not store events.
func (s *Handler) Run(ctx context.Context) error {
	return s.RunWithRetry(ctx, func(ctx context.Context, onUp func()) error {
		if err := s.cfg.Probe(); err != nil {
			return err
		}
		select {
		case <-s.failed: // from before the retry
		default:
		}
		onUp()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-s.failed:
			return err
		}
	})
}

// answer is the JSON body of a response.
type answer struct {
	watch.Receipt
	Ignored int                  `json:"ignored,omitempty"`         // parts of the payload that give no label or text
	Because []string             `json:"ignored_because,omitempty"` // why, for the first of these
	Refused []labelevent.Refusal `json:"rejected,omitempty"`
	Error   string               `json:"error,omitempty"`
}

// ServeHTTP handles one request. It answers 202 only when the accepted events, if there are any, are stored.
func (s *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, a := s.serve(w, r)
	body, err := json.Marshal(a)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // an error means that the sender has left
	if code >= 400 {
		s.Refused(r.RemoteAddr, fmt.Sprintf("%d %s", code, a.Error))
	}
}

func (s *Handler) serve(w http.ResponseWriter, r *http.Request) (int, answer) {
	no := func(code int, format string, args ...any) (int, answer) {
		return code, answer{Error: fmt.Sprintf(format, args...)}
	}
	secret, err := s.cfg.secret()
	if err != nil {
		s.Log.Error("webhook requests cannot be authenticated", "err", err)
		return no(http.StatusServiceUnavailable, "the secret cannot be read")
	}
	if !s.cfg.signed() && !s.showsSecret(r, secret) {
		return no(http.StatusUnauthorized, "the secret is missing or wrong (header %s)", s.header())
	}
	if r.ContentLength > maxBody {
		return no(http.StatusRequestEntityTooLarge, "%d bytes, at most %d are accepted", r.ContentLength, maxBody)
	}
	if s.cfg.signed() {
		if err := checkSigned(r.Header, time.Now()); err != nil {
			return no(http.StatusUnauthorized, "%s", err)
		}
		// A connection without deadlines, as in some tests, needs no bound: the error is ignored.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unsignedTimeout))
	}
	body, release, err := s.readBody(w, r)
	defer release()
	if err != nil {
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, errBusy):
			return no(http.StatusServiceUnavailable, "%s", err)
		case errors.As(err, &large):
			return no(http.StatusRequestEntityTooLarge, "more than %d bytes", maxBody)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return no(http.StatusRequestTimeout, "the body did not arrive in time")
		}
		return no(http.StatusBadRequest, "the body cannot be read")
	}
	now := time.Now().UTC()
	if s.cfg.signed() {
		if err := verifyWebhook(r.Header, body, secret); err != nil {
			return no(http.StatusUnauthorized, "%s", err)
		}
	}
	key := messageKey(r.Header)
	if len(key) > labelevent.MaxID {
		return no(http.StatusBadRequest, "the message's id has %d bytes, at most %d are allowed", len(key), labelevent.MaxID)
	}
	return s.take(r.Context(), body, key, now)
}

// errBusy means that too many large bodies are being read.
var errBusy = errors.New("too many requests at a time")

// readBody reads the body. A large body needs a slot, which the caller must free by calling release. release is never
// nil.
func (s *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	release = func() {}
	from := http.MaxBytesReader(w, r.Body, maxBody)
	if body, err = io.ReadAll(io.LimitReader(from, smallBody)); err != nil || len(body) < smallBody {
		return body, release, err
	}
	select {
	case s.slots <- struct{}{}:
		release = func() { <-s.slots }
	case <-r.Context().Done():
		return nil, release, errBusy
	case <-time.After(5 * time.Second):
		return nil, release, errBusy
	}
	if s.cfg.signed() { // restart the deadline: the wait for a slot was not the sender's fault
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unsignedTimeout))
	}
	rest, err := io.ReadAll(from)
	return append(body, rest...), release, err
}

// take stores the events of a body.
func (s *Handler) take(ctx context.Context, body []byte, key string, now time.Time) (int, answer) {
	var a answer
	var events []watch.Event
	switch s.cfg.Preset {
	case PresetLabelStudio, PresetArgilla:
		decode := s.decoder.LabelStudio
		if s.cfg.Preset == PresetArgilla {
			decode = s.decoder.Argilla
		}
		w := decode(body, key, now)
		events, a.Refused, a.Ignored = w.Events, w.Refused, len(w.Ignored)
		a.Because = w.Ignored[:min(len(w.Ignored), 3)]
	default:
		events, a.Refused = s.decoder.DecodeBody(body, key, now)
		for i, e := range events {
			events[i].Ordered = !e.At.Equal(now) // the sender gave the time
		}
	}
	if len(a.Refused) > 0 && len(events) == 0 {
		a.Error = labelevent.Reasons(a.Refused)
		return http.StatusUnprocessableEntity, a
	}
	if len(events) > 0 {
		var err error
		if a.Receipt, err = s.inbox.Take(context.WithoutCancel(ctx),
			watch.Batch{Source: watch.SourceHTTP, Events: events}); err != nil {
			s.Down(err)
			select {
			case s.failed <- err:
			default: // Run has not received the previous one yet
			}
			return http.StatusServiceUnavailable, answer{Error: "the events could not be stored; send them again"}
		}
		s.Stored(a.Receipt)
		s.Up()
	}
	if len(a.Refused) > 0 {
		s.Refused("a partly stored request", labelevent.Reasons(a.Refused))
	}
	return http.StatusAccepted, a
}

// messageKey returns the id that the sender gave a message, or "" if it gave none.
func messageKey(h http.Header) string {
	switch {
	case h.Get("ce-id") != "" && h.Get("ce-specversion") != "":
		return "ce:" + h.Get("ce-source") + " " + h.Get("ce-id")
	case h.Get("webhook-id") != "":
		return "wh:" + h.Get("webhook-id")
	case h.Get("Idempotency-Key") != "":
		return "id:" + h.Get("Idempotency-Key")
	}
	return ""
}
