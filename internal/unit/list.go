package unit

import "github.com/invopop/jsonschema"

// List is one text or a list of texts.
type List []string

// YAMLForm lets a single text be written without brackets.
func (c *List) YAMLForm(form string) any {
	switch form {
	case "scalar":
		*c = make(List, 1)
		return &(*c)[0]
	case "list":
		return (*[]string)(c)
	}
	return nil
}

// JSONSchema describes both forms.
func (List) JSONSchema() *jsonschema.Schema {
	one := uint64(1)
	text := &jsonschema.Schema{Type: "string", MinLength: &one}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text, {Type: "array", Items: text, MinItems: &one}}}
}
