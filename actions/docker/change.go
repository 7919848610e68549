package docker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// longestGrace limits how long Stop waits if the container's own stop timeout applies.
const longestGrace = 10 * time.Minute

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// Start starts a container; a running one stays unchanged.
func (c *Client) Start(ctx context.Context, id string) error {
	return c.call(ctx, "start container "+Short(id), http.MethodPost, "/containers/"+url.PathEscape(id)+"/start", nil, nil,
		http.StatusNotModified)
}

// Stop stops a container; a stopped one stays unchanged. The engine kills the container if it has not ended after
// grace, or, if grace is 0, after the container's own stop timeout. A restart policy does not restart the container,
// since it was stopped on request.
func (c *Client) Stop(ctx context.Context, id string, grace time.Duration) error {
	query := url.Values{}
	if grace > 0 {
		query.Set("t", strconv.Itoa(max(1, int(grace/time.Second))))
	} else {
		grace = longestGrace
	}
	// The engine answers once the container has ended.
	ctx, stop := context.WithTimeout(ctx, grace+patience)
	defer stop()
	return c.do(ctx, "stop container "+Short(id), http.MethodPost, "/containers/"+url.PathEscape(id)+"/stop", query, nil,
		http.StatusNotModified)
}

// Remove removes a container, even a running one, with its anonymous volumes. A missing one is no error.
func (c *Client) Remove(ctx context.Context, id string) error {
	query := url.Values{"force": {"1"}, "v": {"1"}}
	return c.call(ctx, "remove container "+Short(id), http.MethodDelete, "/containers/"+url.PathEscape(id), query, nil,
		http.StatusNotFound)
}

// Logs returns the last lines that a container wrote.
func (c *Client) Logs(ctx context.Context, id string, lines int) (string, error) {
	var raw bytes.Buffer
	query := url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {strconv.Itoa(lines)}}
	err := c.call(ctx, "read the output of container "+Short(id), http.MethodGet,
		"/containers/"+url.PathEscape(id)+"/logs", query, &raw)
	return strings.TrimSpace(unframed(raw.Bytes())), err
}

// unframed removes the frame headers from a container's output. A header has 8 bytes, of which the last four are the
// length of the frame. The output of a container with a terminal has no frames and is returned unchanged.
func unframed(b []byte) string {
	var out strings.Builder
	for len(b) >= 8 && b[0] <= 2 && b[1] == 0 && b[2] == 0 && b[3] == 0 {
		n := min(int(binary.BigEndian.Uint32(b[4:8])), len(b)-8)
		out.Write(b[8 : 8+n])
		b = b[8+n:]
	}
	out.Write(b)
	return out.String()
}
