package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema is the JSON schema of a model's answer.
type schema struct {
	compiled   *jsonschema.Schema
	properties map[string]any
	order      []string // order of the properties as written
	required   []string
}

// nothing is a loader that refuses referenced schemas: they would be read from the disk or the network.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s: write everything into one file", url)
}

// newSchema compiles the schema of an object.
func newSchema(text []byte) (*schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a JSON object")
	}
	if object["type"] != "object" {
		return nil, errors.New(`its type is not "object"`)
	}
	const here = "answer.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(nothing{})
	if err := c.AddResource(here, doc); err != nil {
		return nil, oneLine(err)
	}
	compiled, err := c.Compile(here)
	if err != nil {
		return nil, oneLine(err)
	}
	s := &schema{compiled: compiled}
	s.properties, _ = object["properties"].(map[string]any)
	var raw struct {
		Properties json.RawMessage
		Required   []string
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	s.order, s.required = keys(raw.Properties), raw.Required
	return s, nil
}

// has reports whether an answer can have the field at a dotted path. A schema without properties allows any.
func (s *schema) has(path string) bool {
	properties := s.properties
	for properties != nil {
		head, rest, dotted := strings.Cut(path, ".")
		if _, ok := properties[path]; ok {
			return true
		}
		next, ok := properties[head].(map[string]any)
		if !ok {
			return false
		}
		if !dotted {
			return true
		}
		path = rest
		properties, _ = next["properties"].(map[string]any)
	}
	return true
}

// check returns how an answer violates the schema, nil if it does not.
func (s *schema) check(answer []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil {
		return err
	}
	return oneLine(s.compiled.Validate(doc))
}

// oneLine joins the lines of the library's errors, without the URL of the schema.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) > 1 {
		lines = lines[1:] // the first line only names the schema
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimSpace(lines[i]), "- ")
	}
	return errors.New(strings.Join(lines, "; "))
}
