package watch

import (
	"github.com/invopop/jsonschema"
)

// Columns is one column or a list of them.
type Columns []string

// YAMLForm lets a single column be written without brackets.
func (c *Columns) YAMLForm(form string) any {
	switch form {
	case "scalar":
		*c = make(Columns, 1)
		return &(*c)[0]
	case "list":
		return (*[]string)(c)
	}
	return nil
}

// JSONSchema describes both forms.
func (Columns) JSONSchema() *jsonschema.Schema {
	one := uint64(1)
	name := &jsonschema.Schema{Type: "string", MinLength: &one}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{name, {Type: "array", Items: name, MinItems: &one}}}
}
