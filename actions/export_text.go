package actions

import (
	"encoding/binary"
	"unicode/utf8"
)

// appendText appends a text as a JSON string, as encoding/json writes it with SetEscapeHTML(false).
func appendText(line []byte, s string) []byte {
	line = append(line, '"')
	for s != "" {
		n := plainly(s)
		if line = append(line, s[:n]...); n == len(s) {
			break
		}
		s = s[n:]
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			line = append(line, '\\', byte(r))
		case r < ' ':
			line = appendControl(line, byte(r))
		case r == utf8.RuneError && size == 1:
			line = append(line, `\ufffd`...)
		case r == '\u2028' || r == '\u2029': // they end a line of JavaScript
			line = append(line, `\u202`...)
			line = append(line, hexDigits[r&0xf])
		default:
			line = append(line, s[:size]...)
		}
		s = s[size:]
	}
	return append(line, '"')
}

const hexDigits = "0123456789abcdef"

func appendControl(line []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(line, `\b`...)
	case '\f':
		return append(line, `\f`...)
	case '\n':
		return append(line, `\n`...)
	case '\r':
		return append(line, `\r`...)
	case '\t':
		return append(line, `\t`...)
	}
	return append(line, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// plainly is how many bytes at the start of a text are printable ASCII that stands for itself.
func plainly(s string) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 { // eight bytes at a time
		w := binary.LittleEndian.Uint64([]byte(s[i : i+8]))
		quote, slash := w^'"'*low, w^'\\'*low
		if (w|(w-' '*low)|(quote-low)|(slash-low))&high != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}
