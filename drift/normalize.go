package drift

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// normalize returns a text in NFC and lower case, with white space collapsed and trimmed; invalid UTF-8 becomes
// U+FFFD.
func normalize(s string) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(strings.ToLower(s)), " ")
}
