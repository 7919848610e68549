package watch

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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

const (
	maxHTTPBody = 4 << 20
	// maxHTTPBodies bounds the bodies that are in memory at a time.
	maxHTTPBodies = 4
	// maxSkew is how old or how far ahead a signature may be.
	maxSkew = 5 * time.Minute
)

// HTTPSource takes label events from requests. It is an http.Handler for the path of its model, and implements Source:
// the listener, which models may share, is the daemon's.
type HTTPSource struct {
	*steady
	cfg     *HTTP
	decoder *Decoder
	inbox   Inbox
	room    chan struct{} // one token for each body in memory
}

var (
	_ Source       = (*HTTPSource)(nil)
	_ http.Handler = (*HTTPSource)(nil)
)

// NewHTTP returns the source of a model's requests. poke is called after each stored batch with the number of events;
// it must not block.
func NewHTTP(model string, cfg *HTTP, decoder *Decoder, inbox Inbox, poke func(n int), log *slog.Logger) *HTTPSource {
	return &HTTPSource{steady: newSteady(model, SourceHTTP, poke, log), cfg: cfg, decoder: decoder, inbox: inbox, room: make(chan struct{}, maxHTTPBodies)}
}

// Name implements Source.
func (s *HTTPSource) Name() string { return SourceHTTP }

// Probe reports a secret that cannot be read.
func (s *HTTPSource) Probe(context.Context) error { return s.cfg.probe() }

func (c *HTTP) probe() error {
	if _, err := c.secret(); err != nil {
		return &Fault{Key: "secret_file", Cause: redact(err), Cure: "write a secret of at least 8 characters into it, readable by the user that runs retraind", Permanent: true, Err: err}
	}
	return nil
}

// Run implements Source: it says that requests are taken until ctx ends.
func (s *HTTPSource) Run(ctx context.Context) error {
	return s.keepTrying(ctx, func(ctx context.Context, well func()) error {
		if err := s.cfg.probe(); err != nil {
			return err
		}
		well()
		<-ctx.Done()
		return context.Cause(ctx)
	})
}

// answer is what a sender is told.
type answer struct {
	Receipt
	Ignored int       `json:"ignored,omitempty"` // events that say nothing about labels
	Refused []Refusal `json:"rejected,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// ServeHTTP takes one request. What it answers with 202 is stored.
func (s *HTTPSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	_, _ = w.Write(append(body, '\n')) // a sender that left needs no answer
	if code >= 400 {
		s.refused(r.RemoteAddr, fmt.Sprintf("%d %s", code, a.Error))
	}
}

func (s *HTTPSource) serve(w http.ResponseWriter, r *http.Request) (int, answer) {
	no := func(code int, format string, args ...any) (int, answer) {
		return code, answer{Error: fmt.Sprintf(format, args...)}
	}
	secret, err := s.cfg.secret()
	if err != nil {
		s.log.Error("requests cannot be checked", "err", err)
		return no(http.StatusServiceUnavailable, "the secret cannot be read")
	}
	if !s.cfg.signed() && !s.shown(r, secret) {
		return no(http.StatusUnauthorized, "the secret is missing or wrong (header %s)", s.header())
	}
	if r.ContentLength > maxHTTPBody {
		return no(http.StatusRequestEntityTooLarge, "%d bytes, at most %d are read", r.ContentLength, maxHTTPBody)
	}
	select {
	case s.room <- struct{}{}:
		defer func() { <-s.room }()
	case <-r.Context().Done():
		return no(http.StatusServiceUnavailable, "too many requests at a time")
	case <-time.After(5 * time.Second):
		return no(http.StatusServiceUnavailable, "too many requests at a time")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHTTPBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return no(http.StatusRequestEntityTooLarge, "more than %d bytes", maxHTTPBody)
		}
		return no(http.StatusBadRequest, "the body cannot be read")
	}
	now := time.Now().UTC()
	if s.cfg.signed() {
		if err := verifyWebhook(r.Header, body, secret, now); err != nil {
			return no(http.StatusUnauthorized, "%s", err)
		}
	}
	key := messageKey(r.Header)
	if len(key) > maxItemID {
		return no(http.StatusBadRequest, "the message's id has %d bytes, at most %d are allowed", len(key), maxItemID)
	}
	return s.take(r.Context(), body, key, now)
}

// take stores the events of a body.
func (s *HTTPSource) take(ctx context.Context, body []byte, key string, now time.Time) (int, answer) {
	var a answer
	var events []Event
	switch s.cfg.Preset {
	case PresetLabelStudio, PresetArgilla:
		var err error
		if events, err = s.decoder.webhook(s.cfg.Preset, body, key, now); err != nil {
			a.Refused = []Refusal{{Reason: err.Error()}}
		} else if len(events) == 0 {
			a.Ignored = 1
		}
	default:
		events, a.Refused = s.decoder.DecodeBody(body, key, now)
	}
	if len(a.Refused) > 0 && len(events) == 0 {
		a.Error = reasons(a.Refused)
		return http.StatusUnprocessableEntity, a
	}
	if len(events) > 0 {
		var err error
		if a.Receipt, err = s.inbox.Take(context.WithoutCancel(ctx), Batch{Source: SourceHTTP, Events: events}); err != nil {
			s.log.Error("events could not be stored", "err", err)
			return http.StatusServiceUnavailable, answer{Error: "the events could not be stored; send them again"}
		}
		s.arrived(a.Receipt)
	}
	if len(a.Refused) > 0 {
		s.refused("a request with other events", reasons(a.Refused))
	}
	return http.StatusAccepted, a
}

func (s *HTTPSource) header() string { return or(s.cfg.Header, "Authorization") }

// shown tells whether the request shows the secret. It takes the same time for every wrong one.
func (s *HTTPSource) shown(r *http.Request, secret []byte) bool {
	given := r.Header.Get(s.header())
	for _, scheme := range []string{"Bearer ", "Token "} {
		if rest, ok := strings.CutPrefix(given, scheme); ok {
			given = rest
			break
		}
	}
	is, want := sha256.Sum256([]byte(given)), sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(is[:], want[:]) == 1
}

// messageKey is the sender's name for a message, "" when it gave none.
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

// verifyWebhook checks a signature as the Standard Webhooks specification 1.0 has it: HMAC-SHA256 over
// "id.timestamp.body", in base64 after "v1,", one of several that are separated by blanks.
func verifyWebhook(h http.Header, body, secret []byte, now time.Time) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	if id == "" || stamp == "" || h.Get("webhook-signature") == "" {
		return errors.New("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is not a number of seconds")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > maxSkew || age < -maxSkew {
		return fmt.Errorf("the signature is %s away from this machine's clock, at most %s is accepted", age.Abs().Round(time.Second), maxSkew)
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.", id, stamp) // a hash never fails to write
	mac.Write(body)
	want := mac.Sum(nil)
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue
		}
		if got, err := base64.StdEncoding.DecodeString(encoded); err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("the signature does not fit the body and the secret")
}
