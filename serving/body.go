package serving

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// appendObject writes a text's fields as a JSON object, in the order of their names.
func appendObject(to []byte, fields map[string]string) []byte {
	if len(fields) == 0 {
		return append(to, '{', '}')
	}
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		to = append(to, "{,"[min(i, 1)])
		to = appendQuoted(to, name)
		to = append(to, ':')
		to = appendQuoted(to, fields[name])
	}
	return append(to, '}')
}

// appendQuoted writes a JSON string. Most texts need no escape and are copied as they are; encoding/json would look at
// each byte on its way, which costs as much as reading the answer.
func appendQuoted(to []byte, s string) []byte {
	if !unescaped(s) {
		quoted, _ := json.Marshal(s) // a string cannot fail: what is no UTF-8 becomes U+FFFD
		return append(to, quoted...)
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

// unescaped says that a text stands in a JSON string as it is. It looks for control characters in eight bytes at once:
// of a byte below 0x20 the difference to it has the highest bit, and the byte itself has not.
func unescaped(s string) bool {
	if strings.IndexByte(s, '"') >= 0 || strings.IndexByte(s, '\\') >= 0 || !utf8.ValidString(s) {
		return false
	}
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (w-0x2020202020202020)&^w&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < ' ' {
			return false
		}
	}
	return true
}

// size is about how many bytes the fields take as JSON.
func size(fields map[string]string) int {
	n := 2
	for name, value := range fields {
		n += len(name) + len(value) + 6
	}
	return n
}
