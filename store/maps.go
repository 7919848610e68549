package store

import (
	"encoding/json"
	"strings"
)

// encodeMap encodes a map as JSON, with a fast path for most maps: one label of plain characters.
func encodeMap(m map[string]string) string {
	if len(m) == 1 {
		for k, v := range m {
			if plain(k) && plain(v) {
				return `{"` + k + `":"` + v + `"}`
			}
		}
	}
	return encode(m)
}

// decodeMap parses the result of encodeMap; "null" becomes nil.
func decodeMap(text string) (m map[string]string, err error) {
	if text == "null" {
		return nil, nil
	}
	if inner, ok := strings.CutPrefix(text, `{"`); ok {
		if inner, ok = strings.CutSuffix(inner, `"}`); ok {
			if k, v, ok := strings.Cut(inner, `":"`); ok && plain(k) && plain(v) {
				return map[string]string{k: v}, nil
			}
		}
	}
	return m, json.Unmarshal([]byte(text), &m)
}

// plain reports whether a text needs no escapes in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
