package serving_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestOllamaConfigFaults(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"prompt": "{{.title}}", "open": "{{.title", "empty": " \n", "schema": newsSchema,
		"list": "[1]", "text": "no JSON", "string": `{"type":"string"}`, "type": `{"type":"object","properties":{"a":{"type":1}}}`,
		"ref": `{"type":"object","properties":{"label":{"$ref":"file:///etc/passwd"}}}`, "large": strings.Repeat("x", 2<<20),
		"other": `{"type":"object","properties":{"category":{"type":"string"}}}`,
	}
	for name, x := range map[string]struct {
		change func(*serving.Config)
		path   string
		want   string
	}{
		"prompt missing":  {func(c *serving.Config) { c.Ollama.PromptFile = "none" }, "prompt_file", "no file none"},
		"system missing":  {func(c *serving.Config) { c.Ollama.SystemFile = "none" }, "system_file", "no file none"},
		"schema missing":  {func(c *serving.Config) { c.Ollama.FormatFile = "none" }, "format_file", "no file none"},
		"prompt empty":    {func(c *serving.Config) { c.Ollama.PromptFile = "empty" }, "prompt_file", "is empty"},
		"prompt large":    {func(c *serving.Config) { c.Ollama.PromptFile = "large" }, "prompt_file", "more than"},
		"prompt syntax":   {func(c *serving.Config) { c.Ollama.PromptFile = "open" }, "prompt_file", "unclosed action"},
		"schema no JSON":  {func(c *serving.Config) { c.Ollama.FormatFile = "text" }, "format_file", "not JSON"},
		"schema list":     {func(c *serving.Config) { c.Ollama.FormatFile = "list" }, "format_file", "not a JSON object"},
		"schema string":   {func(c *serving.Config) { c.Ollama.FormatFile = "string" }, "format_file", `not "object"`},
		"schema type":     {func(c *serving.Config) { c.Ollama.FormatFile = "type" }, "format_file", "type"},
		"schema refers":   {func(c *serving.Config) { c.Ollama.FormatFile = "ref" }, "format_file", "one file"},
		"schema target":   {func(c *serving.Config) { c.Ollama.FormatFile = "other" }, "ollama.format_file", `no property "label"`},
		"no model":        {func(c *serving.Config) { c.Ollama.Model = "" }, "ollama.model", "no model"},
		"no name":         {func(c *serving.Config) { c.Ollama.Model = "a b" }, "ollama.model", "cannot name a model"},
		"no server":       {func(c *serving.Config) { c.Ollama.URL = "" }, "ollama", "ollama.url is missing"},
		"classify beside": {func(c *serving.Config) { c.Classify = "http://x/classify" }, "classify", "for an HTTP service"},
	} {
		c := serving.Config{Ollama: &serving.OllamaConfig{
			Model: "news", URL: "http://127.0.0.1:1", PromptFile: "prompt", FormatFile: "schema",
		}}
		x.change(&c)
		found, missing := c.Ollama.Load(func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return []byte(text), nil
		})
		c = c.WithDefaults()
		found = append(append(found, missing...), c.Validate()...)
		if len(found) != 1 || found[0].Path != x.path || !strings.Contains(found[0].Message, x.want) ||
			strings.Contains(found[0].Message, "\n") {
			t.Errorf("%s: %+v, want one of %s with %q", name, found, x.path, x.want)
		}
	}
}

// An unknown column is found in every form of access, and in branches that are rarely reached.
func TestCheckPrompt(t *testing.T) {
	t.Parallel()
	for prompt, fault := range map[string]string{
		"":                                  "",
		"{{.title}}":                        "",
		`{{index . "title"}}`:               "",
		"a\nb {{.titel}}":                   `prompt.tmpl:2:`,
		`{{index . "titel"}}`:               `{{index . "titel"}} uses the column "titel"; the text columns are title, content`,
		`{{index $ "titel"}}`:               "titel",
		`{{(index . "titel")}}`:             "titel",
		`{{len (index . "titel")}}`:         "titel",
		`{{index . "titel" | printf "%s"}}`: "titel",
		`{{$t := index . "titel"}}{{$t}}`:   "titel",
		`{{if .title}}{{.content}}{{else}}{{.titel}}{{end}}`:                                   "titel",
		`{{with .title}}{{.}}{{index $ "content"}}{{end}}`:                                     "",
		`{{with .title}}{{$.titel}}{{end}}`:                                                    "titel",
		`{{with .}}{{index . "titel"}}{{end}}`:                                                 "titel",
		`{{with .title}}{{else}}{{index . "titel"}}{{end}}`:                                    "titel",
		`{{range $name, $text := .}}{{$name}}: {{.}}{{end}}`:                                   "",
		`{{range .}}{{index $ "titel"}}{{end}}`:                                                "titel",
		`{{define "x"}}{{index . "titel"}}{{end}}{{template "x" .}}`:                           "titel",
		`{{define "x"}}{{index . 0}}{{end}}{{template "x" .title}}`:                            "",
		`{{define "x"}}{{if ne .title "x"}}{{template "x" .}}{{end}}{{end}}{{template "x" $}}`: "",
		`{{.title.x}}`: "title",
	} {
		c := &serving.OllamaConfig{PromptFile: "prompt.tmpl", Prompt: prompt}
		err := c.CheckPrompt([]string{"title", "content"})
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%s: %v, want %q", prompt, err, fault)
		}
	}
}

// A plan keeps the content of the files, and the digest depends on it.
func TestOllamaConfigIsKept(t *testing.T) {
	t.Parallel()
	c := newsConfig(t, "http://127.0.0.1:1")
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again serving.Config
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if string(again.Ollama.Format) == "" || again.Ollama.Digest() != c.Ollama.Digest() || again.Ollama.URL != c.Ollama.URL {
		t.Errorf("kept %+v, was %+v", again.Ollama, c.Ollama)
	}
	for name, change := range map[string]func(*serving.OllamaConfig){
		"system": func(o *serving.OllamaConfig) { o.System = "x" },
		"prompt": func(o *serving.OllamaConfig) { o.Prompt = "x" },
		"format": func(o *serving.OllamaConfig) { o.Format = []byte(`{}`) },
		"option": func(o *serving.OllamaConfig) { o.Options = nil },
	} {
		o := *c.Ollama
		change(&o)
		if o.Digest() == c.Ollama.Digest() {
			t.Errorf("another %s gives the same digest", name)
		}
	}
	if b, err := json.Marshal(serving.Config{}); err != nil || strings.Contains(string(b), "Ollama") {
		t.Errorf("a configuration without Ollama changed: %s, %v", b, err)
	}
}
