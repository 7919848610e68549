package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
)

// Client is a client of the daemon's control socket. Each request has a time limit; for a stream of events, the limit
// is the time between two lines.
type Client struct {
	path  string
	http  *http.Client
	quick time.Duration // limit of requests that the daemon answers from its memory or its store
	slow  time.Duration // limit of requests that may wait for the classifier, a source, or a computation
	quiet time.Duration // limit of the time without a line on the stream of events
}

var _ Backend = (*Client)(nil)

// NewClient returns a client for the socket; it connects with the first request.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, path) }
	return &Client{
		path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}},
		quick: 30 * time.Second, slow: 10 * time.Minute, quiet: 3 * heartbeat,
	}
}

// dialSocket connects, and retries while the socket's queue is full: the daemon is busy, not stopped.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Snapshot implements Reader.
func (c *Client) Snapshot(ctx context.Context) (s Status, err error) {
	if err := c.get(ctx, "/v1/status", nil, &s); err != nil {
		return s, err
	}
	if loc, err := time.LoadLocation(s.Timezone); err == nil {
		s.At = s.At.In(loc)
	}
	return s, nil
}

// Explain implements Reader.
func (c *Client) Explain(ctx context.Context, model, run string, at time.Time) (d policy.Decision, err error) {
	query := url.Values{"run": {run}}
	if !at.IsZero() {
		query.Set("at", at.Format(time.RFC3339))
	}
	return d, c.get(ctx, "/v1/models/"+url.PathEscape(model)+"/explain", query, &d)
}

// History implements Reader.
func (c *Client) History(ctx context.Context, model string, since time.Time) (p []Point, err error) {
	return p,
		c.get(ctx, "/v1/models/"+url.PathEscape(model)+"/history", url.Values{"since": {since.Format(time.RFC3339)}}, &p)
}

// Diagnose implements Reader.
func (c *Client) Diagnose(ctx context.Context, model string) (d drift.Diagnosis, err error) {
	return d, c.ask(ctx, c.slow, http.MethodGet, "/v1/models/"+url.PathEscape(model)+"/diagnosis", nil, nil, &d)
}

// Runs implements Reader.
func (c *Client) Runs(ctx context.Context, model string, limit int) (r []Run, err error) {
	return r, c.get(ctx, "/v1/runs", url.Values{"model": {model}, "limit": {strconv.Itoa(limit)}}, &r)
}

// Run implements Reader.
func (c *Client) Run(ctx context.Context, id string) (r Run, err error) {
	return r, c.get(ctx, "/v1/runs/"+url.PathEscape(id), nil, &r)
}

// Releases implements Reader.
func (c *Client) Releases(ctx context.Context, model string) (r []Release, err error) {
	return r, c.get(ctx, "/v1/models/"+url.PathEscape(model)+"/releases", nil, &r)
}

// Subscribe implements Reader. The channel is also closed when the daemon stops or sends no line for three heartbeats.
func (c *Client) Subscribe(ctx context.Context) <-chan Event {
	feed := make(chan Event)
	go func() {
		defer close(feed)
		ctx, alive, stop := withPatience(ctx, c.quiet)
		defer stop()
		resp, err := c.do(ctx, http.MethodGet, "/v1/events", nil, nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		readEvents(ctx, resp.Body, feed, alive)
	}()
	return feed
}

// Trigger implements Backend. Request.By is ignored: the daemon gets the author from the kernel.
func (c *Client) Trigger(ctx context.Context, model string, r Request) (t Triggered, err error) {
	return t, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/trigger", r, &t)
}

// Evaluate implements Backend.
func (c *Client) Evaluate(ctx context.Context, model string) (r drift.Report, err error) {
	return r, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/evaluate", nil, &r)
}

// AddLabels implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) AddLabels(ctx context.Context, model string, events []byte, _, run string) (a Added, err error) {
	return a, c.order(ctx, "/v1/models/"+url.PathEscape(model)+"/labels", handed{run, events}, &a)
}

// AcceptLabels implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) AcceptLabels(ctx context.Context, model, _ string) error {
	return c.post(ctx, "/v1/models/"+url.PathEscape(model)+"/labels/accept", nil, nil)
}

// Cancel implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Cancel(ctx context.Context, run, _ string) error {
	return c.post(ctx, "/v1/runs/"+url.PathEscape(run)+"/cancel", nil, nil)
}

// Retry implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Retry(ctx context.Context, run, from, _ string) (t Triggered, err error) {
	return t, c.order(ctx, "/v1/runs/"+url.PathEscape(run)+"/retry", retryRequest{from}, &t)
}

// Pause implements Backend. Pause.By is ignored: the daemon gets the author from the kernel.
func (c *Client) Pause(ctx context.Context, model string, p Pause) error {
	return c.post(ctx, ofModel(model)+"/pause", p, nil)
}

// Hold implements Backend. Pause.By is ignored: the daemon gets the author from the kernel.
func (c *Client) Hold(ctx context.Context, model string, p Pause) error {
	return c.post(ctx, ofModel(model)+"/hold", p, nil)
}

// Resume implements Backend. by is ignored: the daemon gets the author from the kernel.
func (c *Client) Resume(ctx context.Context, model, _ string) error {
	return c.order(ctx, ofModel(model)+"/resume", nil, nil)
}

// ofModel returns the beginning of the path of requests about a model, or about all models.
func ofModel(model string) string {
	if model == Every {
		return "/v1"
	}
	return "/v1/models/" + url.PathEscape(model)
}

// Reload implements Backend.
func (c *Client) Reload(ctx context.Context) error { return c.order(ctx, "/v1/reload", nil, nil) }

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.ask(ctx, c.quick, http.MethodGet, path, query, nil, into)
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	return c.ask(ctx, c.quick, http.MethodPost, path, nil, body, into)
}

// order posts a request that may take minutes.
func (c *Client) order(ctx context.Context, path string, body, into any) error {
	return c.ask(ctx, c.slow, http.MethodPost, path, nil, body, into)
}

func (c *Client) ask(ctx context.Context, limit time.Duration, method, path string, query url.Values, body, into any) error {
	ctx, _, stop := withPatience(ctx, limit)
	defer stop()
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); ctx.Err() != nil {
		return c.unreachable(ctx, err)
	} else if err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// withPatience returns a context that ends, with a timeoutError as its cause, when `alive` has not been called for as
// long as the limit.
func withPatience(ctx context.Context, limit time.Duration) (_ context.Context, alive, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(&timeoutError{limit}) })
	return ctx, func() { timer.Reset(limit) }, func() { timer.Stop(); cancel(nil) }
}

// timeoutError is a timeout of the client.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return "no answer within " + text.Span(e.limit) }

// do sends a request and returns an error for every answer that is not a success.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://retraind"+path+"?"+query.Encode(), bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// unreachable explains why no daemon answered.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var op *net.OpError
	var late *timeoutError
	switch {
	case errors.As(context.Cause(ctx), &late):
		return fmt.Errorf("%w: %w on %s; the daemon is running, but busy or stuck: see journalctl -u retraind",
			ErrNoAnswer, late, c.path)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: no permission for %s; join the daemon's group (adduser NAME retraind), or use sudo",
			ErrUnreachable, c.path)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w: nothing answers on %s; is the daemon running? (systemctl status retraind; --config or --socket selects another daemon)",
			ErrUnreachable, c.path)
	default:
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, c.path, err)
	}
}

// remoteError is an error that the daemon sent; errors.Is finds its kind.
type remoteError struct {
	kind    error
	message string
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.kind }

func readError(resp *http.Response) error {
	var body struct {
		Error failure `json:"error"`
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if json.Unmarshal(data, &body) != nil || body.Error.Message == "" {
		return fmt.Errorf("the daemon answered %s: %.200q", resp.Status, data)
	}
	kinds := map[string]error{"not_found": ErrNotFound, "refused": ErrRefused, "bad_request": errBadRequest, "busy": errBusy}
	return &remoteError{kinds[body.Error.Kind], body.Error.Message}
}
