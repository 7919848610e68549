package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Message is one message of a chat.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// ChatRequest is a request to a model. The system prompt is the tag's unless a message has one.
type ChatRequest struct {
	Model     string          `json:"model"`
	Messages  []Message       `json:"messages"`
	Format    json.RawMessage `json:"format,omitempty"` // a JSON schema, or "json"
	Options   map[string]any  `json:"options,omitempty"`
	Think     *bool           `json:"think,omitempty"` // nil: the model's default
	KeepAlive *KeepAlive      `json:"keep_alive,omitempty"`
	// Whole refuses a text that is longer than the model's context (ErrTooLong). Otherwise the server drops the
	// beginning of the prompt, which contains the system prompt.
	Whole bool `json:"-"`
}

// KeepAlive is how long a model stays in memory after its last request; negative means forever.
type KeepAlive time.Duration

// MarshalJSON writes it in Ollama's format.
func (k KeepAlive) MarshalJSON() ([]byte, error) {
	if k < 0 {
		return []byte("-1"), nil
	}
	return json.Marshal(time.Duration(k).String())
}

// Answer is the answer of a model.
type Answer struct {
	Text     string
	Thinking string
	Reason   string // stop, or length when it was cut off
	Loading  time.Duration
	Prompt   int // tokens read
	Tokens   int // tokens written
}

// CutOff reports whether the answer ended before the model was done.
func (a Answer) CutOff() bool { return a.Reason == "length" }

// Chat sends one request and waits for the whole answer. The server loads the model if it is not in memory.
func (c *Client) Chat(ctx context.Context, r ChatRequest) (Answer, error) {
	request := struct {
		ChatRequest
		Stream   bool  `json:"stream"`
		Truncate *bool `json:"truncate,omitempty"`
		Shift    *bool `json:"shift,omitempty"`
	}{ChatRequest: r}
	if r.Whole {
		no := false
		request.Truncate, request.Shift = &no, &no
	}
	var out struct {
		Message struct{ Content, Thinking string }
		Done    bool
		Reason  string        `json:"done_reason"`
		Loading time.Duration `json:"load_duration"`
		Prompt  int           `json:"prompt_eval_count"`
		Tokens  int           `json:"eval_count"`
	}
	k := call{op: "chat", about: r.Model, method: http.MethodPost, path: "/api/chat", most: maxAnswer}
	if err := c.ask(ctx, k, request, &out); err != nil {
		return Answer{}, err
	}
	if !out.Done {
		return Answer{}, &Error{
			Op: k.op, About: r.Model, URL: c.URL(), Status: http.StatusOK,
			Cause: errors.New("the answer is not marked as done: it was cut off in transit"),
		}
	}
	return Answer{out.Message.Content, out.Message.Thinking, out.Reason, out.Loading, out.Prompt, out.Tokens}, nil
}

// Load loads a model into memory, or changes how long a loaded one stays there.
func (c *Client) Load(ctx context.Context, model string, keep time.Duration) error {
	return c.keepAlive(ctx, "load", model, keep)
}

// Warm loads a model into memory, with the server's default keep-alive.
func (c *Client) Warm(ctx context.Context, model string) error {
	return c.memory(ctx, "load", model, map[string]any{"model": model, "stream": false})
}

// Unload asks the server to unload a model. It returns at once: the model is unloaded when its last request ends, and
// serves new requests until then. It is unloaded once Running no longer lists it.
func (c *Client) Unload(ctx context.Context, model string) error {
	return c.keepAlive(ctx, "unload", model, 0)
}

func (c *Client) keepAlive(ctx context.Context, op, model string, keep time.Duration) error {
	return c.memory(ctx, op, model, map[string]any{"model": model, "keep_alive": KeepAlive(keep), "stream": false})
}

// memory sends a request without a prompt, which only loads or unloads the model.
func (c *Client) memory(ctx context.Context, op, model string, request map[string]any) error {
	k := call{op: op, about: model, method: http.MethodPost, path: "/api/generate", most: maxSmall}
	var out struct{ Done bool }
	return c.ask(ctx, k, request, &out)
}
