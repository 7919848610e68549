package serving

import (
	"encoding/json"
	"strings"
)

// Path returns the path of the target's answer, with dots between levels.
func (t Target) Path() string { return t.path() }

// Enumerates reports whether the schema lists the values of a target, so that it refuses all others.
func (c *OllamaConfig) Enumerates(t Target) bool {
	var at any
	if json.Unmarshal(c.Format, &at) != nil {
		return false
	}
	for path := t.path(); path != ""; {
		object, _ := at.(map[string]any)
		properties, _ := object["properties"].(map[string]any)
		if whole, ok := properties[path]; ok {
			at = whole
			break
		}
		head, rest, _ := strings.Cut(path, ".")
		at, path = properties[head], rest
	}
	object, _ := at.(map[string]any)
	list, _ := object["enum"].([]any)
	return len(list) > 0 || object["const"] != nil
}
