package drift

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Words of eight bytes, for looking at as many at a time.
const (
	highBits = 0x8080808080808080
	lowBits  = 0x0101010101010101
)

// word is s[i:i+8].
func word(s string, i int) uint64 { return binary.LittleEndian.Uint64([]byte(s[i : i+8])) }

// normalASCII is what each ASCII byte becomes: lower case, and one kind of blank.
var normalASCII = func() (table [utf8.RuneSelf]byte) {
	for c := range table {
		table[c] = byte(unicode.ToLower(rune(c)))
		if unicode.IsSpace(rune(c)) {
			table[c] = ' '
		}
	}
	return table
}()

// appendNormal appends s in NFC and lower case, with its white space collapsed and none at its ends; invalid UTF-8
// becomes U+FFFD.
func appendNormalized(out []byte, s string) []byte {
	if !ascii(s) {
		s = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
	}
	start := len(out)
	out = slices.Grow(out, len(s))
	gap := true // whether a blank, or nothing, was last
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			if lower, blankEnd, ok := lowerWord(word(s, i), gap); ok {
				out = binary.LittleEndian.AppendUint64(out, lower)
				i, gap = i+8, blankEnd
				continue
			}
		}
		// The next eight bytes, or what is left of them, hold more than words of ASCII with a blank between them.
		for end := min(i+8, len(s)); i < end; {
			r, size := rune(s[i]), 1
			if r < utf8.RuneSelf {
				r = rune(normalASCII[r])
			} else if r, size = utf8.DecodeRuneInString(s[i:]); unicode.IsSpace(r) {
				r = ' '
			}
			i += size
			if r == ' ' && gap {
				continue
			}
			gap = r == ' '
			out = utf8.AppendRune(out, unicode.ToLower(r))
		}
	}
	if gap && len(out) > start {
		out = out[:len(out)-1]
	}
	return out
}

// lowerWord puts eight bytes of ASCII in lower case. ok is false where they hold anything else: a control character, or
// a blank that follows another. gap tells whether a blank was before them, blankEnd whether they end with one.
func lowerWord(w uint64, gap bool) (lower uint64, blankEnd, ok bool) {
	other := (w | (w - 0x20*lowBits)) & highBits
	blanks := ^((w ^ 0x20*lowBits) + 0x7f*lowBits) & highBits
	before := blanks << 8
	if gap {
		before |= 0x80
	}
	if other|blanks&before != 0 {
		return 0, false, false
	}
	upper := (w + (0x80-'A')*lowBits) &^ (w + (0x80-'Z'-1)*lowBits) & highBits
	return w | upper>>2, blanks>>63 != 0, true
}

func ascii(s string) bool {
	var or uint64
	i := 0
	for ; i+8 <= len(s); i += 8 {
		or |= word(s, i)
	}
	for ; i < len(s); i++ {
		or |= uint64(s[i])
	}
	return or&highBits == 0
}
