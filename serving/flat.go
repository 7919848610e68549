package serving

import (
	"encoding/json"
	"unicode/utf8"
)

// flat decodes the usual answer, an object of plain texts, numbers and truth values, in a fifth of the time that
// encoding/json takes; ok is false for whatever is not that plain, which is left to encoding/json, faults included.
func flat(body []byte) (object map[string]any, ok bool) {
	p := plainJSON{body: body}
	if !p.next('{') {
		return nil, false
	}
	object = make(map[string]any, 8)
	for {
		name, ok := p.text()
		if !ok || !p.next(':') {
			return nil, false
		}
		value, ok := p.value()
		if !ok {
			return nil, false
		}
		object[name] = value
		switch {
		case p.next(','):
		case p.next('}'):
			return object, true
		default:
			return nil, false
		}
	}
}

// plainJSON is how far an answer was read.
type plainJSON struct {
	body []byte
	at   int
}

// next steps over white space and one byte, if it is the wanted one.
func (p *plainJSON) next(want byte) bool {
	for p.at < len(p.body) && (p.body[p.at] == ' ' || p.body[p.at] == '\n' || p.body[p.at] == '\t' || p.body[p.at] == '\r') {
		p.at++
	}
	if p.at == len(p.body) || p.body[p.at] != want {
		return false
	}
	p.at++
	return true
}

// text reads a string without escapes.
func (p *plainJSON) text() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	for from := p.at; p.at < len(p.body); p.at++ {
		switch c := p.body[p.at]; {
		case c == '"':
			p.at++
			s := p.body[from : p.at-1]
			return string(s), utf8.Valid(s)
		case c == '\\' || c < ' ':
			return "", false
		}
	}
	return "", false
}

// value reads what may stand behind a name.
func (p *plainJSON) value() (any, bool) {
	if p.next('"') {
		p.at--
		return p.text()
	}
	from := p.at
	for p.at < len(p.body) && wordByte(p.body[p.at]) {
		p.at++
	}
	switch word := string(p.body[from:p.at]); {
	case word == "true" || word == "false":
		return word == "true", true
	case word == "null":
		return nil, true
	case word != "" && json.Valid(p.body[from:p.at]): // of such bytes nothing else is valid but a number
		return json.Number(word), true
	}
	return nil, false
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == 'E' || c == '.' || c == '-' || c == '+'
}
