package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// What init writes for each recipe is a configuration without a fault, and so are the examples of whole procedures.
func TestRecipesAreValid(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, name := range append(configs.Recipes(), "") {
		e := configs.Example{
			Model: "relevance", DSN: "/etc/retraind/pg-dsn", Table: "public.items", ID: []string{"id"},
			Text: []string{"title", "content"}, Label: "category", State: "/var/lib/retraind", Recipe: name,
			Dir: "/srv/relevance", Prompts: "/etc/retraind",
		}
		texts[name] = e.Render()
	}
	for _, name := range []string{"relevance-tuner", "liga-llm"} {
		b, err := os.ReadFile(filepath.Join("examples", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	for name, text := range texts {
		l, err := configs.Parse(filepath.Join("/etc/retraind", name+".yaml"), []byte(text))
		if err != nil {
			t.Errorf("recipe %q: %v", name, err)
			continue
		}
		for _, w := range l.Warnings {
			t.Errorf("recipe %q: %s: %s", name, w.Path, w.Message)
		}
		if strings.Contains(text, "{{") {
			t.Errorf("recipe %q: something was not filled in:\n%s", name, text)
		}
	}
}
