package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The kinds of errors, for errors.Is. In other errors, Error.Cause says what is wrong, and Error.Text is what the
// server said, if anything.
var (
	ErrAway       = errors.New("the Ollama server does not answer")
	ErrBusy       = errors.New("the Ollama server's queue is full")
	ErrNotFound   = errors.New("the Ollama server has no such model")
	ErrDiskFull   = errors.New("the disk of the Ollama server is full")
	ErrCannotLoad = errors.New("the model cannot be loaded")
	ErrSchema     = errors.New("the Ollama server does not accept the schema")
	ErrTooLong    = errors.New("the text is longer than the model's context")
)

// Error is a failed request: the operation, the model or blob, and the server.
type Error struct {
	Op     string // show, chat, create, …
	About  string // model or digest, "" if there is none
	URL    string // of the server, without a password
	Status int    // HTTP status, 0 if there was none
	Text   string // the server's message, limited and quoted
	Cause  error  // one of the sentinels, or the underlying error
	cure   string
}

func (e *Error) Error() string {
	about := e.Op
	if e.About != "" {
		about += " " + e.About
	}
	text := fmt.Sprintf("ollama %s at %s: %v", about, e.URL, e.Cause)
	if e.Text != "" {
		text += fmt.Sprintf(" (status %d: %s)", e.Status, e.Text)
	}
	if e.cure != "" {
		text += "; " + e.cure
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// broken returns the error of a request without a complete answer. If the context has ended, the error wraps the
// context's cause.
func (c *Client) broken(ctx context.Context, k call, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ollama %s %s: %w", k.op, k.about, context.Cause(ctx))
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return &Error{
		Op: k.op, About: k.about, URL: c.URL(), Cause: fmt.Errorf("%w: %w", ErrAway, err),
		cure: "start the server (systemctl status ollama) or correct ollama.url",
	}
}

// kinds maps messages of Ollama to errors, because the status alone does not determine them.
var kinds = []struct {
	is   error
	says []string
	cure string
}{
	{ErrDiskFull, []string{"no space left on device", "disk quota exceeded"}, "free space in OLLAMA_MODELS"},
	{ErrSchema, []string{"invalid JSON schema", "invalid format", "parse grammar"}, "correct format_file"},
	{ErrTooLong, []string{"exceeds the context length", "exceeds maximum context length", "prompt too long"}, ""},
	{ErrCannotLoad, []string{
		"unable to load model", "failed to load", "unexpectedly stopped", "failed to initialize", "has terminated",
		"requires more system memory", "unsupported model",
	}, "see the log of the Ollama server (journalctl -u ollama)"},
	{ErrNotFound, []string{"not found", "file does not exist", "pull model manifest"}, "was it created? see ollama list"},
}

// refused returns the error of an answer with an unexpected status, or of a line {"error": …} in a stream.
func (c *Client) refused(k call, status int, body []byte) error {
	text := messageIn(body)
	e := &Error{Op: k.op, About: k.about, URL: c.URL(), Status: status, Text: quote(text)}
	if status == http.StatusServiceUnavailable {
		e.Cause, e.cure = ErrBusy, "send fewer requests at a time (serving.concurrency), or raise OLLAMA_MAX_QUEUE"
		return e
	}
	for _, kind := range kinds {
		for _, says := range kind.says {
			if strings.Contains(strings.ToLower(text), strings.ToLower(says)) {
				e.Cause, e.cure = kind.is, kind.cure
				return e
			}
		}
	}
	switch {
	case status == http.StatusNotFound:
		e.Cause, e.cure = ErrNotFound, "was it created? see ollama list"
	case status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		e.Cause, e.cure = ErrAway, "a proxy in front of the server reports this: start the server (systemctl status ollama)"
	case status/100 == 3:
		e.Cause = errors.New("the server redirects, but retraind uses only the configured URL: write the server's own URL under ollama.url")
	default:
		e.Cause = errors.New("the Ollama server refuses the request")
	}
	return e
}

// messageIn extracts the message from {"error": "…"} or {"error": {"message": "…"}}; other bodies are returned as they
// are.
func messageIn(body []byte) string {
	var plain struct{ Error json.RawMessage }
	if json.Unmarshal(body, &plain) != nil || plain.Error == nil {
		return string(bytes.TrimSpace(body))
	}
	var text string
	var nested struct{ Message string }
	if json.Unmarshal(plain.Error, &text) == nil {
		return text
	}
	if json.Unmarshal(plain.Error, &nested) == nil && nested.Message != "" {
		return nested.Message
	}
	return string(plain.Error)
}

func excerpt(body []byte) string { return quote(string(body)) }

// quote makes a text from the server safe for one line of a log.
func quote(s string) string {
	const most = 300
	cut := ""
	if s = strings.TrimSpace(s); len(s) > most {
		s, cut = s[:most], "…"
	}
	if s == "" {
		return "no message"
	}
	return strings.ToValidUTF8(strconv.QuoteToGraphic(s), "?") + cut
}
