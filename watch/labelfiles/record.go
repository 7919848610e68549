package labelfiles

import (
	"bytes"
	"strings"
)

// record tracks whether the quotes of a CSV record are closed. A quote opens a quoted field only at the field's
// start. A quote inside an unquoted field, such as an inch mark, needs no closing quote.
type record struct {
	separators string
	state      recordState
	start      bool // at the start of the file, where a byte order mark may be
}

type recordState int

const (
	fieldStart recordState = iota
	plainField
	quotedField
	quoteInside // a quote in a quoted field: its end, or the first of two
	badQuotes   // a character other than a separator or a line end follows the end of a quoted field
)

// begin begins a record.
func (r *record) begin(start bool) { r.state, r.start = fieldStart, start }

// read processes the next bytes of the record.
func (r *record) read(part []byte) {
	if r.start {
		part, r.start = bytes.TrimPrefix(part, []byte("\xEF\xBB\xBF")), false
	}
	for _, c := range part {
		separates := strings.IndexByte(r.separators, c) >= 0
		switch r.state {
		case fieldStart, plainField:
			switch {
			case separates:
				r.state = fieldStart
			case c == '"' && r.state == fieldStart:
				r.state = quotedField
			default:
				r.state = plainField
			}
		case quotedField:
			if c == '"' {
				r.state = quoteInside
			}
		case quoteInside:
			switch {
			case c == '"':
				r.state = quotedField
			case separates:
				r.state = fieldStart
			case c != '\r' && c != '\n':
				r.state = badQuotes
			}
		case badQuotes:
		}
	}
}

// open reports whether a quoted field is unclosed.
func (r *record) open() bool { return r.state == quotedField }

// bad reports whether the quotes are so malformed that no further bytes can complete the record.
func (r *record) bad() bool { return r.state == badQuotes }
