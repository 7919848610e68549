package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// ollamaFile returns a configuration whose classifier is a model of an Ollama server.
func ollamaFile() string {
	text := strings.Replace(good, "version: 1\n", "version: 1\nollama: {url: \"http://127.0.0.1:11434\"}\n", 1)
	return strings.Replace(text, "      classify: http://127.0.0.1:8082/classify\n      health: http://127.0.0.1:8082/health\n",
		"      ollama: {model: news, system_file: system.txt, prompt_file: prompt.tmpl, format_file: answer.json, "+
			"options: {temperature: 0, seed: 1, stop: END}}\n", 1)
}

func TestOllama(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("retraind.yaml", ollamaFile())
	load := func() (*configs.Loaded, error) { return configs.Load(filepath.Join(dir, "retraind.yaml")) }

	if _, err := configs.Parse(filepath.Join(dir, "retraind.yaml"), []byte(ollamaFile())); err != nil {
		t.Errorf("the text alone: %v", err)
	}
	_, err := load()
	var bad *configs.InvalidError
	if !errors.As(err, &bad) || len(bad.Problems) != 3 {
		t.Fatalf("without the files: %v", err)
	}
	for _, p := range bad.Problems {
		if p.Line == 0 || !strings.Contains(p.Message, "there is no file "+dir) {
			t.Errorf("%+v", p)
		}
	}
	write("system.txt", "You sort news.\n")
	write("prompt.tmpl", "{{.nosuch}}")
	write("answer.json", `{"type":"object","properties":{"label":{"enum":["sport","other"]}}}`)
	if _, err = load(); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("a prompt with an unknown column: %v", err)
	}
	write("prompt.tmpl", "{{.title}}")
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	o := l.File.Models["news"].Serving.Ollama
	if o.URL != "http://127.0.0.1:11434" || o.System != "You sort news." || o.Prompt != "{{.title}}" || o.Format == nil {
		t.Errorf("loaded %+v", o)
	}
	write("prompt.tmpl", "News: {{.title}}")
	if again, err := load(); err != nil || l.Same(again) {
		t.Errorf("a changed prompt is not detected: %v", err)
	}
	write("label.tmpl", `{{index . "titel"}}`)
	write("retraind.yaml", strings.Replace(ollamaFile(), "    serving:",
		"    pipeline: {default: [{do: label, model: teacher, prompt_file: label.tmpl, items: all}, export, {name: t, exec: [x]}, "+
			"gate, release, verify]}\n    serving:", 1))
	if _, err = load(); !errors.As(err, &bad) || len(bad.Problems) != 1 ||
		bad.Problems[0].Path != "models.news.pipeline.default[0].prompt_file" ||
		!strings.Contains(bad.Problems[0].Message, `"titel"`) {
		t.Errorf("a step with an unknown column: %v", err)
	}
	if err := schema(t).Validate(values(t, []byte(ollamaFile()))); err != nil {
		t.Error(err)
	}
}
