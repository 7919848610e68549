package ollama

import (
	"context"
	"net/http"
	"time"
)

// Version returns the version of the server.
func (c *Client) Version(ctx context.Context) (string, error) {
	var out struct{ Version string }
	err := c.ask(ctx, call{op: "version", method: http.MethodGet, path: "/api/version", most: maxSmall}, nil, &out)
	return out.Version, err
}

// Model is a name on the server, with the digest of its manifest. A copy has the digest of its original.
type Model struct {
	Name     string    `json:"name"` // with tag: liga-relevance:latest
	Digest   string    `json:"digest"`
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified_at"`
	Details  Details   `json:"details"`
}

// Details are the properties of a model's file.
type Details struct {
	Parent       string `json:"parent_model"`
	Format       string `json:"format"`
	Family       string `json:"family"`
	Parameters   string `json:"parameter_size"`
	Quantization string `json:"quantization_level"`
}

// Models lists the models of the server.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	var out struct{ Models []Model }
	err := c.ask(ctx, call{op: "tags", method: http.MethodGet, path: "/api/tags", most: maxList}, nil, &out)
	return out.Models, err
}

// Running is a loaded model.
type Running struct {
	Name    string    `json:"name"` // the tag that loaded it first; other tags of the same file share the loaded model
	Digest  string    `json:"digest"`
	Size    int64     `json:"size"`       // bytes in all
	VRAM    int64     `json:"size_vram"`  // bytes on the GPU
	Expires time.Time `json:"expires_at"` // in the past: unloaded when the last request ends
	Context int       `json:"context_length"`
}

// Running lists the loaded models. A model that is being unloaded leaves the list before its memory is free.
func (c *Client) Running(ctx context.Context) ([]Running, error) {
	var out struct{ Models []Running }
	err := c.ask(ctx, call{op: "ps", method: http.MethodGet, path: "/api/ps", most: maxList}, nil, &out)
	return out.Models, err
}

// Info describes what a tag consists of.
type Info struct {
	Modelfile    string         `json:"modelfile"`
	Template     string         `json:"template"`
	System       string         `json:"system"`
	Parameters   string         `json:"parameters"` // lines of a name and a value
	Details      Details        `json:"details"`
	Architecture map[string]any `json:"model_info"` // keys of the GGUF header
	Capabilities []string       `json:"capabilities"`
	Modified     time.Time      `json:"modified_at"`
}

// Show returns what a model consists of.
func (c *Client) Show(ctx context.Context, model string) (Info, error) {
	var out Info
	k := call{op: "show", about: model, method: http.MethodPost, path: "/api/show", most: maxList}
	err := c.ask(ctx, k, map[string]any{"model": model}, &out)
	return out, err
}

// Copy gives a model a second name; if that name exists, it is replaced. The server writes the name in place, so an
// interrupted copy leaves it broken.
func (c *Client) Copy(ctx context.Context, from, to string) error {
	k := call{op: "copy", about: from + " to " + to, method: http.MethodPost, path: "/api/copy", most: maxSmall}
	return c.ask(ctx, k, map[string]any{"source": from, "destination": to}, nil)
}

// Delete removes a name and the files that no other name needs. A loaded model stays in memory.
func (c *Client) Delete(ctx context.Context, model string) error {
	k := call{op: "delete", about: model, method: http.MethodDelete, path: "/api/delete", most: maxSmall}
	return c.ask(ctx, k, map[string]any{"model": model}, nil)
}
