package serving_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
)

// Conversations are built like requests: the model is trained on the same prompts.
func TestChat(t *testing.T) {
	t.Parallel()
	c := loaded(t, serving.Config{
		Ollama: &serving.OllamaConfig{
			Model: "news", URL: "http://127.0.0.1:1", SystemFile: "You sort news.", PromptFile: "{{.title}}: {{.content}}",
			FormatFile: `{"type":"object","properties":{"relevant":{"type":"boolean"},"priority":{"enum":["high","low",null]},
				"tags":{"type":"array","items":{"type":"string"}},"why":{"type":"string"}},"required":["relevant","priority"]}`,
		},
		Targets: map[string]serving.Target{
			"relevant": {Kind: serving.KindBool}, "priority": {Null: "none"}, "tags": {Kind: serving.KindSet},
		}, Gate: "relevant",
	})
	chat, err := serving.NewChat(c)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{"title": "A <goal>", "content": "in</s> time"}
	got, err := chat.Messages(fields, map[string]string{"relevant": "true", "priority": "high", "tags": `["a","b"]`})
	want := []ollama.Message{
		{Role: "system", Content: "You sort news."},
		{Role: "user", Content: "A <goal>: in< /s> time"},
		{Role: "assistant", Content: `{"relevant": true, "priority": "high", "tags": ["a","b"]}`},
	}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%+v, %v", got, err)
	}
	for name, x := range map[string]struct {
		labels map[string]string
		answer string
		is     error
		fault  string
	}{
		"null":    {map[string]string{"relevant": "false"}, `{"relevant": false, "priority": null}`, nil, ""},
		"missing": {map[string]string{"priority": "low"}, "", serving.ErrIncomplete, "relevant"},
		"not labelled": {
			map[string]string{"relevant": "true", serving.NotLabelled: ""}, "", serving.ErrIncomplete, "priority",
		},
		"no category": {map[string]string{"relevant": "true", "priority": "urgent"}, "", nil, "break the schema"},
	} {
		got, err := chat.Messages(fields, x.labels)
		switch {
		case x.answer != "":
			if err != nil || got[2].Content != x.answer {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err == nil || !strings.Contains(err.Error(), x.fault) || errors.Is(err, serving.ErrIncomplete) != (x.is != nil):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChatThatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := serving.NewChat(serving.Config{}); err == nil || !strings.Contains(err.Error(), "serving.ollama") {
		t.Errorf("without a model: %v", err)
	}
	c := newsConfig(t, "http://127.0.0.1:1")
	c.Ollama.Format = []byte(`{"type":"object","properties":{"label":{},"why":{}},"required":["label","why"]}`)
	if _, err := serving.NewChat(c); err == nil || !strings.Contains(err.Error(), `"why"`) {
		t.Errorf("a field that no label fills: %v", err)
	}
}

// A label that equals the configured null up to normalization is written as null if the schema has no such category.
func TestChatOfANormalizedNull(t *testing.T) {
	t.Parallel()
	c := loaded(t, serving.Config{
		Ollama: &serving.OllamaConfig{
			Model: "news", URL: "http://127.0.0.1:1", FormatFile: `{"type":"object","properties":{"label":{"enum":["high",null]}}}`,
		},
		Targets: map[string]serving.Target{"label": {Null: "None", Normalize: "case"}},
	})
	chat, err := serving.NewChat(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, labels := range []map[string]string{{}, {"label": "none"}} {
		got, err := chat.Messages(map[string]string{"title": "x"}, labels)
		if err != nil || got[1].Content != `{"label": null}` {
			t.Errorf("%v: %+v, %v", labels, got, err)
		}
	}
}
