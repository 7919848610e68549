package ollama_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/serving/ollama"
)

func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }

// news answers sport or politics, depending on the words in a text.
var news = ollamatest.Classifier{
	Words: map[string][]string{"goal": {"sport"}, "match": {"sport"}, "vote": {"politics"}, "budget": {"politics"}},
}

const schema = `{"type":"object","properties":{"label":{"type":"string","enum":["politics","sport"]}},"required":["label"]}`

func ask(model, text string) ollama.ChatRequest {
	return ollama.ChatRequest{
		Model: model, Messages: []ollama.Message{{Role: "user", Content: text}}, Format: json.RawMessage(schema), Whole: true,
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, name := ollamatest.Client(t, url), ollamatest.Name(t)
		news.Install(t, url, name, "")
		for text, want := range map[string]string{
			"The goal that won the match":            "sport",
			"A vote on the budget, after a match":    "politics",
			"Nothing of the kind":                    "politics", // the first label
			strings.Repeat("nothing ", 100) + "goal": "sport",
		} {
			a, err := c.Chat(t.Context(), ask(name, text))
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"label":"` + want + `"}`; compact(a.Text) != want || a.Reason != "stop" || a.CutOff() {
				t.Errorf("%.40q: answer %q (%s), want %s", text, a.Text, a.Reason, want)
			}
		}
		if version, err := c.Version(t.Context()); err != nil || version == "" {
			t.Errorf("version %q, %v", version, err)
		}
	})
}

func compact(text string) string { return strings.ReplaceAll(text, " ", "") }

func TestNames(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, name, ctx := ollamatest.Client(t, url), ollamatest.Name(t), t.Context()
		news.Install(t, url, name, "always goal")
		if err := c.Copy(ctx, name, name+":r-1"); err != nil {
			t.Fatal(err)
		}
		if a, b := digest(t, c, name+":latest"), digest(t, c, name+":r-1"); a != b || len(a) != 64 {
			t.Errorf("a copy has digest %s, the model %s", b, a)
		}
		if err := c.Create(ctx, ollama.CreateRequest{Model: name, From: name + ":r-1", System: "vote"}, nil); err != nil {
			t.Fatal(err)
		}
		if digest(t, c, name+":latest") == digest(t, c, name+":r-1") {
			t.Error("another system prompt gives the same digest")
		}
		info, err := c.Show(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if info.System != "vote" || info.Template != ollamatest.Template || !strings.Contains(info.Parameters, "num_thread") ||
			info.Architecture["general.architecture"] != "qwen3" || info.Details.Family != "qwen3" {
			t.Errorf("show: %+v", info)
		}
		for tag, want := range map[string]string{"": "politics", ":r-1": "sport"} { // the words in the system prompts count
			if a, err := c.Chat(ctx, ask(name+tag, "nothing")); err != nil || !strings.Contains(a.Text, want) {
				t.Errorf("%s answers %q, %v; want %s", name+tag, a.Text, err, want)
			}
		}
		if err := c.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Show(ctx, name); !errors.Is(err, ollama.ErrNotFound) {
			t.Errorf("show after delete: %v", err)
		}
	})
}

func digest(t *testing.T, c *ollama.Client, name string) string {
	t.Helper()
	list, err := c.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(m ollama.Model) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("%s is not in %+v", name, list)
	}
	return list[i].Digest
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, ctx := ollamatest.Client(t, url), t.Context()
		const none = "t-nosuch"
		_, chat := c.Chat(ctx, ask(none, "text"))
		_, show := c.Show(ctx, none)
		for op, err := range map[string]error{
			"chat": chat, "show": show, "copy": c.Copy(ctx, none, none+":2"), "delete": c.Delete(ctx, none),
			"unload": c.Unload(ctx, none), "load": c.Load(ctx, none, time.Minute),
			"create": c.Create(ctx, ollama.CreateRequest{Model: none + ":2", From: none}, nil),
		} {
			if !errors.Is(err, ollama.ErrNotFound) || !strings.Contains(err.Error(), none) {
				t.Errorf("%s: %v", op, err)
			}
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, name, ctx := ollamatest.Client(t, url), ollamatest.Name(t), t.Context()
		own := news
		own.Version = name // a different file: names of one file share the loaded model
		own.Install(t, url, name, "")
		running := func() *ollama.Running {
			list, err := c.Running(ctx)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(list, func(r ollama.Running) bool { return r.Name == name+":latest" })
			if i < 0 {
				return nil
			}
			return &list[i]
		}
		if running() != nil {
			t.Fatal("loaded before it was asked")
		}
		if err := c.Load(ctx, name, -1); err != nil {
			t.Fatal(err)
		}
		r := running()
		if r == nil || r.Size == 0 || time.Until(r.Expires) < 24*time.Hour {
			t.Fatalf("after load for ever: %+v", r)
		}
		if err := c.Load(ctx, name, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		// The server applies the new keep-alive shortly after the answer, at the end of the request.
		waittest.Eventually(t, "the model to stay for ten minutes", func() bool {
			r := running()
			return r != nil && time.Until(r.Expires) < time.Hour
		})
		if err := c.Unload(ctx, name); err != nil {
			t.Fatal(err)
		}
		waittest.Eventually(t, "the model leaves memory", func() bool { return running() == nil })
		if err := c.Unload(ctx, name); err != nil {
			t.Errorf("a second unload: %v", err)
		}
	})
}

func TestModelsThatCannotServe(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, name, ctx := ollamatest.Client(t, url), ollamatest.Name(t), t.Context()
		strange := news
		strange.Architecture = "nosuch"
		strange.Install(t, url, name, "") // the server accepts it
		if _, err := c.Chat(ctx, ask(name, "goal")); !errors.Is(err, ollama.ErrCannotLoad) {
			t.Errorf("an unknown architecture: %v", err)
		}

		path := filepath.Join(t.TempDir(), "text.gguf")
		if err := os.WriteFile(path, []byte("no model, a text "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := c.Upload(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Create(ctx, ollama.CreateRequest{Model: name + ":text", Files: map[string]string{"text.gguf": d}}, nil)
		var refused *ollama.Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "create "+name+":text") {
			t.Errorf("a file that is no model: %v", err)
		}
		missing := "sha256:" + strings.Repeat("0", 64)
		if has, err := c.HasBlob(ctx, missing); has || err != nil {
			t.Errorf("a blob that is not there: %v, %v", has, err)
		}
		err = c.Create(ctx, ollama.CreateRequest{Model: name + ":none", Files: map[string]string{"x.gguf": missing}}, nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("a blob that was not uploaded: %v", err)
		}
		if _, err := c.Upload(ctx, filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		c, name := ollamatest.Client(t, url), ollamatest.Name(t)
		small := news
		small.Context = 256
		small.Install(t, url, name, "")

		short := ask(name, "goal")
		short.Options = map[string]any{"num_predict": 4}
		if a, err := c.Chat(t.Context(), short); err != nil || !a.CutOff() || json.Valid([]byte(a.Text)) {
			t.Errorf("4 tokens: %+v, %v", a, err)
		}
		if _, err := c.Chat(t.Context(), ask(name, strings.Repeat("zebra ", 2000))); !errors.Is(err, ollama.ErrTooLong) {
			t.Errorf("a text beyond the context: %v", err)
		}
		bad := ask(name, "goal")
		bad.Format = json.RawMessage(`{"type":"nosuch"}`)
		if _, err := c.Chat(t.Context(), bad); !errors.Is(err, ollama.ErrSchema) {
			t.Errorf("a schema of an unknown type: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Chat(ctx, ask(name, "goal")); !errors.Is(err, context.Canceled) || errors.Is(err, ollama.ErrAway) {
			t.Errorf("a question that its asker gave up: %v", err)
		}
	})
}

// An error about the URL does not contain its password.
func TestNewHidesThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https//bob:geheim@host", "bob:geheim@host:11434", "ftp://bob:geheim@host"} {
		if _, err := ollama.New(url); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
