package configs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/configs"
)

// schema compiles the published schema with another library than the one that generated it.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(configs.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(configs.SchemaFile, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(configs.SchemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// values reads a file as editors do, as plain values for the schema.
func values(t *testing.T, source []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(source, &v); err != nil {
		t.Fatal(err)
	}
	return plainDates(v)
}

// plainDates converts YAML 1.1 dates back to their text, as JSON has no dates.
func plainDates(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plainDates(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plainDates(v[i])
		}
	case interface{ Format(string) string }:
		return v.Format("2006-01-02")
	case int:
		return float64(v)
	}
	return v
}

// The schema accepts every file that loads.
func TestSchemaTakesWhatLoads(t *testing.T) {
	t.Parallel()
	s := schema(t)
	files := map[string]string{
		"example": configs.Example{
			Model: "a", DSN: "b", Table: "c", ID: []string{"d"}, Text: []string{"e"}, Label: "f",
			State: "/g",
		}.Render(),
		"good": good,
		"anchors": "x-night: &night {days: mon-fri, from: \"22:00\", to: \"06:00\"}\n" + strings.Replace(good,
			`{days: mon-fri, from: "22:00", to: "06:00"}`, "*night", 1),
		"long way": strings.Replace(good, "accuracy_below: 85%",
			"accuracy_below: {share: 0.85, for: 6h, margin: 1}\n      when: {expression: drop > 0.1, for: 1d}\n      category_recall_below: {all: 70%, Sport: 60%}",
			1),
	}
	shipped, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(more) < 3 {
		t.Fatal(more, err)
	}
	for _, path := range append(shipped, more...) {
		if path == "example.yaml" || strings.HasSuffix(path, ".tests.yaml") { // a template, rendered above; and policy tests
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(b)
	}
	for name, text := range files {
		if _, err := configs.Parse(filepath.Join(t.TempDir(), "retraind.yaml"), []byte(text)); err != nil {
			t.Errorf("%s does not load: %v", name, err)
		}
		if err := s.Validate(values(t, []byte(text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema reports the mistakes that need no knowledge of other keys.
func TestSchemaSeesSlips(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, name := range []string{
		"unknown_key", "unknown_condition", "key_of_another_level", "percent_as_number", "unit_missing",
		"unit_of_another_kind", "unit_wrong",
		"budget_without_period", "gate_unknown", "step_unknown", "nats_listen", "no_text", "model_name", "no_models",
		"negative",
		"version_missing", "window_at_25_o_clock", "window_on_no_day", "many_at_once",
	} {
		source, err := os.ReadFile(filepath.Join("testdata", "bad", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(values(t, source)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Every key has a description for editors.
func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	var walk func(path string, s *jsonschema.Schema)
	keys := 0
	walk = func(path string, s *jsonschema.Schema) {
		for name, p := range s.Properties {
			keys++
			if len(p.Description) < 10 {
				t.Errorf("%s.%s is described as %q", path, name, p.Description)
			}
			walk(path+"."+name, p)
		}
		for _, p := range slices.Concat(s.AnyOf, s.OneOf) {
			walk(path, p)
		}
		if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && p != nil {
			walk(path+".NAME", p)
		}
		if s.Items2020 != nil {
			walk(path+"[]", s.Items2020)
		}
	}
	walk("", schema(t))
	if keys < 100 {
		t.Errorf("only %d keys found", keys)
	}
}
