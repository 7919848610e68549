package labelevent

import (
	"encoding/json"
	"strconv"
	"strings"
)

// find follows a path. A field whose name itself contains dots takes precedence over nested levels.
func find(v any, path string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if found, ok := v[path]; ok {
			return found, true
		}
		head, rest, nested := strings.Cut(path, ".")
		if below, ok := v[head]; ok && nested {
			return find(below, rest)
		}
	case []any:
		head, rest, nested := strings.Cut(path, ".")
		if i, err := strconv.Atoi(head); err == nil && i >= 0 && i < len(v) {
			if !nested {
				return v[i], true
			}
			return find(v[i], rest)
		}
	}
	return nil, false
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "null"
}

// quoteShort quotes a sender's text for a message: short, printable, on one line.
func quoteShort(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.QuoteToGraphic(s)
}
