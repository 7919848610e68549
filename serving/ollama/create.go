package ollama

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// CreateRequest creates a model from uploaded files, or from an existing model.
type CreateRequest struct {
	Model      string            `json:"model"`
	Files      map[string]string `json:"files,omitempty"`    // name to digest of a blob
	Adapters   map[string]string `json:"adapters,omitempty"` // the same, of adapters
	From       string            `json:"from,omitempty"`     // an existing model of the server
	Template   string            `json:"template,omitempty"`
	System     string            `json:"system,omitempty"`
	Parameters map[string]any    `json:"parameters,omitempty"`
	Quantize   string            `json:"quantize,omitempty"`
}

// Create creates a model and reads the answer, which must end with success. It calls `status`, which may be nil, with
// the status in each line. It first checks that From exists, since the server would fetch a missing one. A created
// model may still fail to load: only a request shows that.
func (c *Client) Create(ctx context.Context, r CreateRequest, status func(string)) error {
	if r.From != "" {
		if _, err := c.Show(ctx, r.From); err != nil {
			return fmt.Errorf("create %s from %s, which the server must have: %w", r.Model, r.From, err)
		}
	}
	k := call{op: "create", about: r.Model, method: http.MethodPost, path: "/api/create"}
	b, err := encode(r)
	if err != nil {
		return &Error{Op: k.op, About: k.about, URL: c.URL(), Cause: err}
	}
	k = k.with(b)
	resp, err := c.send(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	done := false
	for lines.Scan() {
		var line struct {
			Status string
			Error  json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return &Error{
				Op: k.op, About: k.about, URL: c.URL(), Status: resp.StatusCode, Text: excerpt(lines.Bytes()),
				Cause: fmt.Errorf("a line of the answer is not JSON: %w", err),
			}
		}
		if line.Error != nil {
			return c.refused(k, resp.StatusCode, lines.Bytes())
		}
		done = line.Status == "success"
		if status != nil && line.Status != "" {
			status(line.Status)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return &Error{
			Op: k.op, About: k.about, URL: c.URL(), Status: resp.StatusCode,
			Cause: fmt.Errorf("a line of the answer is longer than %d bytes", maxLine),
		}
	case err != nil:
		return c.broken(ctx, k, err)
	case !done:
		return &Error{
			Op: k.op, About: k.about, URL: c.URL(), Status: resp.StatusCode,
			Cause: errors.New("the answer ended without success: was the server stopped?"),
		}
	}
	return nil
}
