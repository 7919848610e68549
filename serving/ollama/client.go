package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
)

const (
	maxSmall  = 1 << 20  // bytes of an answer without lists
	maxAnswer = 8 << 20  // bytes of a model's answer
	maxList   = 32 << 20 // bytes of lists, licences and templates
	maxLine   = 1 << 20  // bytes of one line of a stream
)

// Client is a client of one Ollama server.
type Client struct {
	base string
	http *http.Client
}

// New returns a client of the server at a URL such as http://127.0.0.1:11434.
func New(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("ollama url %q: not an http or https URL; for example http://127.0.0.1:11434", text.URL(base))
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment, // never used for localhost
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // only the configured URL is contacted
	return &Client{strings.TrimSuffix(base, "/"), &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// URL returns the server's URL, without a password.
func (c *Client) URL() string { return text.URL(c.base) }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call describes one request. op and about name its operation and subject in errors.
type call struct {
	op, about    string
	method, path string
	body         io.Reader
	length       int64
	most         int64 // limit of the answer in bytes
	also         int   // a second status that is no error
}

// with returns the call with a body.
func (k call) with(body []byte) call {
	k.body, k.length = bytes.NewReader(body), int64(len(body))
	return k
}

// ask sends document as JSON, unless it is nil. If into is not nil, the answer is decoded into it; otherwise the answer
// is dropped.
func (c *Client) ask(ctx context.Context, k call, document, into any) error {
	if document != nil {
		b, err := encode(document)
		if err != nil {
			return &Error{Op: k.op, About: k.about, URL: c.URL(), Cause: err}
		}
		k = k.with(b)
	}
	resp, err := c.send(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, k.most+1))
	if err != nil {
		return c.broken(ctx, k, err)
	}
	if int64(len(body)) > k.most {
		return &Error{
			Op: k.op, About: k.about, URL: c.URL(), Status: resp.StatusCode,
			Cause: fmt.Errorf("the answer is larger than %d bytes", k.most),
		}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &Error{
			Op: k.op, About: k.about, URL: c.URL(), Status: resp.StatusCode, Text: excerpt(body),
			Cause: fmt.Errorf("the answer is not Ollama's JSON: %w; does another program listen there?", err),
		}
	}
	return nil
}

// send sends a request and returns its answer if the status is right. The caller closes the body.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, k.method, c.base+k.path, k.body)
	if err != nil {
		return nil, &Error{Op: k.op, About: k.about, URL: c.URL(), Cause: err}
	}
	if k.body != nil {
		req.ContentLength = k.length
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, k, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == k.also {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSmall))
	if err != nil {
		return nil, c.broken(ctx, k, err)
	}
	return nil, c.refused(k, resp.StatusCode, text)
}

// encode writes JSON with <, > and & unescaped, so that a prompt reaches the server unchanged.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
