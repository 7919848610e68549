// Package docker is a client for the few operations on containers and images that retraind needs: inspect, stop, start,
// tag, remove. It uses the engine's HTTP API over the Unix socket in DOCKER_HOST, in the newest version that both the
// engine and this package support, at least 1.41 (Docker 20.10, Debian 12).
//
// It reads no compose files: package compose runs compose's own command line for that. A Client is safe for concurrent
// use and caches no state of the engine. It never pulls an image and never runs a command.
package docker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// HostVar is the environment variable with the engine's address, as for the docker command.
const HostVar = "DOCKER_HOST"

const (
	defaultHost = "unix:///var/run/docker.sock"
	oldestAPI   = 41 // minor of 1.41
	newestAPI   = 51 // minor of the newest version that this client was tested with
	patience    = 30 * time.Second
	maxAnswer   = 16 << 20
)

// Client sends requests to one engine.
type Client struct {
	socket string
	http   *http.Client

	mu    sync.Mutex
	minor int // minor number of the negotiated API version, 0 before the first answer; guarded by mu
}

// Socket returns the path of the socket that New("") uses; "" if DOCKER_HOST is not the address of a Unix socket.
func Socket() string {
	socket, ok := strings.CutPrefix(cmp.Or(os.Getenv(HostVar), defaultHost), "unix://")
	if !ok {
		return ""
	}
	return socket
}

// New returns a client of the engine at an address such as unix:///var/run/docker.sock; "" means the address in
// DOCKER_HOST, or the default if that is not set. New does not connect.
func New(host string) (*Client, error) {
	host = cmp.Or(host, os.Getenv(HostVar), defaultHost)
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok || socket == "" {
		return nil, &Error{
			Op: "use the engine at " + host, Kind: ErrAway,
			Detail: "only an engine on this machine can be used: set " + HostVar + " to unix:///PATH, or leave it unset",
		}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 2}}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// version negotiates the API version: the engine's newest, at most this client's.
func (c *Client) version(ctx context.Context) (int, error) {
	c.mu.Lock()
	known := c.minor
	c.mu.Unlock()
	if known != 0 {
		return known, nil
	}
	const op = "read the engine's version"
	resp, err := c.send(ctx, http.MethodGet, "/_ping")
	if err != nil {
		return 0, c.unreachable(op, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, refused(op, resp)
	}
	says := resp.Header.Get("Api-Version")
	major, minor, _ := strings.Cut(says, ".")
	n, err := strconv.Atoi(minor)
	if err != nil || major != "1" || n < oldestAPI {
		return 0, &Error{
			Op: op, Kind: ErrTooOld,
			Detail: fmt.Sprintf("it has API version %q, but 1.%d is required: upgrade Docker to 20.10 or newer", says, oldestAPI),
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minor = min(n, newestAPI)
	return c.minor, nil
}

// Ping checks that the engine answers and is new enough.
func (c *Client) Ping(ctx context.Context) error {
	c.forget()
	_, err := c.version(ctx)
	return err
}

// forget discards the negotiated version, since the engine may have been replaced by another version.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minor = 0
}

// call sends a request as the method do does, but waits no longer than patience. It is for requests that the engine
// answers at once.
func (c *Client) call(ctx context.Context, op, method, path string, query url.Values, out any, fine ...int) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return c.do(ctx, op, method, path, query, out, fine...)
}

// do sends one request and decodes the answer into out, unless out is nil. The statuses in the list `fine` are no errors;
// their answers are not decoded.
func (c *Client) do(ctx context.Context, op, method, path string, query url.Values, out any, fine ...int) error {
	minor, err := c.version(ctx)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, method, fmt.Sprintf("/v1.%d%s?%s", minor, path, query.Encode()))
	if err != nil {
		c.forget()
		return c.unreachable(op, err)
	}
	defer resp.Body.Close()
	if slices.Contains(fine, resp.StatusCode) {
		return nil
	}
	if resp.StatusCode >= 300 {
		if resp.StatusCode == http.StatusBadRequest { // perhaps an older engine, which refuses the version
			c.forget()
		}
		return refused(op, resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(op, err)
	}
	switch to := out.(type) {
	case nil:
		return nil
	case *bytes.Buffer:
		to.Write(body)
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return &Error{Op: op, Kind: ErrAnswer, Detail: err.Error()}
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, target string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+target, nil)
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

// unreachable returns the error for a request that got no answer.
func (c *Client) unreachable(op string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &Error{
			Op: op, Kind: ErrDenied,
			Detail: fmt.Sprintf("%s: permission denied: add the daemon's user to the socket's group, or set %s to the docker helper's socket",
				c.socket, HostVar),
		}
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	return &Error{
		Op: op, Kind: ErrAway,
		Detail: fmt.Sprintf("%v: start the Docker engine (systemctl start docker), or correct %s", err, HostVar),
	}
}
