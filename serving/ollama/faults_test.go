package ollama_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/serving/ollama"
)

// Faults that the real server does not produce on request: a fake answers with them.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path   string
		status int
		body   string
		is     error
		want   string
	}{
		"proxy, no server":    {"/api/chat", 502, "Bad Gateway", ollama.ErrAway, "a proxy in front of the server"},
		"queue full":          {"/api/chat", 503, `{"error":"server busy, please try again."}`, ollama.ErrBusy, "OLLAMA_MAX_QUEUE"},
		"not loaded":          {"/api/chat", 500, `{"error":"model runner has unexpectedly stopped"}`, ollama.ErrCannotLoad, "log"},
		"copy, disk full":     {"/api/copy", 500, `{"error":"write /m/x: no space left on device"}`, ollama.ErrDiskFull, "free space"},
		"create, disk full":   {"/api/create", 200, "{\"status\":\"a\"}\n{\"error\":\"no space left on device\"}\n", ollama.ErrDiskFull, "create t"},
		"create, other error": {"/api/create", 200, "{\"status\":\"a\"}\n{\"error\":\"EOF\"}\n", nil, `status 200: "EOF"`},
		"create, no end":      {"/api/create", 200, "{\"status\":\"a\"}\n", nil, "without success"},
		"create, not JSON":    {"/api/create", 200, "<html>", nil, "not JSON"},
		"create, long line":   {"/api/create", 200, strings.Repeat(" ", 2<<20), nil, "longer than"},
		"answer, not JSON":    {"/api/version", 200, "<html>", nil, "another program"},
		"answer, too large":   {"/api/version", 200, strings.Repeat(" ", 2<<20), nil, "larger than"},
		"answer, half":        {"/api/chat", 200, `{"message":{"content":"{"}}`, nil, "not marked as done"},
		"redirect":            {"/api/version", 302, "", nil, "ollama.url"},
		"long error":          {"/api/version", 500, strings.Repeat("x\n", 4000), nil, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := ollamatest.NewFake(t)
			f.Break(func(r *http.Request) (int, string) {
				if r.URL.Path == c.path {
					return c.status, c.body
				}
				return 0, ""
			})
			client, ctx := ollamatest.Client(t, f.URL), t.Context()
			var err error
			switch c.path {
			case "/api/chat":
				_, err = client.Chat(ctx, ask("t", "text"))
			case "/api/copy":
				err = client.Copy(ctx, "t", "u")
			case "/api/create":
				err = client.Create(ctx, ollama.CreateRequest{Model: "t"}, nil)
			default:
				_, err = client.Version(ctx)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") ||
				len(err.Error()) > 1000 {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v is not %v", err, c.is)
			}
			if f.Asked(c.path) != 1 {
				t.Errorf("asked %d times", f.Asked(c.path))
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := ollamatest.Client(t, server.URL).Version(t.Context())
	if !errors.Is(err, ollama.ErrAway) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
	for _, url := range []string{"", "127.0.0.1:11434", "ftp://host", "http://"} {
		if _, err := ollama.New(url); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
}

// A missing source is refused, because the server would fetch it from the internet.
func TestNothingIsFetched(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	err := ollamatest.Client(t, f.URL).Create(t.Context(), ollama.CreateRequest{Model: "a", From: "qwen3:32b"}, nil)
	if !errors.Is(err, ollama.ErrNotFound) || f.Asked("/api/create") != 0 {
		t.Errorf("error %v, create was asked %d times", err, f.Asked("/api/create"))
	}
}
