package serving

import (
	"encoding/json"
	"strings"
)

// Path is where the target's answer stands, with dots between levels.
func (t Target) Path() string { return t.path() }

// Enumerates says whether the schema of answers lists the values of a target, so that no other one passes it.
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
