package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// checkText refuses characters that no configuration contains, before the text is parsed. It returns the text without a
// byte order mark.
func checkText(data []byte) ([]byte, *Problem) {
	if len(data) > maxBytes {
		return nil, &Problem{
			Message: "the file is larger than 8 MiB", // its reader may have stopped there
			Hint:    "is this the right file?",
		}
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return nil, &Problem{Line: 1, Column: 1, Message: "the file is UTF-16", Hint: "save it as UTF-8"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	line, column := 1, 1
	for i := 0; i < len(data); {
		if c := data[i]; c >= ' ' && c < 0x7f { // the common case
			i, column = i+1, column+1
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, &Problem{
				Line: line, Column: column, Message: fmt.Sprintf("byte 0x%02x is not UTF-8", data[i]),
				Hint: "save the file as UTF-8",
			}
		case forbidden(r), r == '\r' && !bytes.HasPrefix(data[i+1:], []byte("\n")):
			return nil, &Problem{Line: line, Column: column, Message: fmt.Sprintf("%s in the file", character(r)), Hint: "remove it"}
		}
		i += size
		if r == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
	}
	return data, nil
}

// forbidden reports control characters, and characters that break or reorder lines on the screen, which would hide what
// is parsed.
func forbidden(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	}
	return r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

func character(r rune) string {
	switch {
	case r == 0:
		return "a NUL character"
	case r == 0xfeff:
		return "a second byte order mark"
	case r > 0x9f:
		return fmt.Sprintf("an invisible character that breaks or reorders lines (U+%04X)", r)
	}
	return fmt.Sprintf("a control character (U+%04X)", r)
}

// parse parses the text, which must be one document.
func parse(text []byte) (*yaml.Node, *Problem) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, emptyFile()
	case err != nil:
		return nil, syntax(text, err)
	}
	root := doc.Content[0]
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Problem{
			Line: max(second.Line, 1), Column: max(second.Column, 1), Message: "the file holds more than one document",
			Hint: "remove the \"---\" line, or put the second document into a file of its own",
		}
	case !errors.Is(err, io.EOF):
		return nil, syntax(text, err)
	}
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, emptyFile()
	}
	return root, nil
}

func emptyFile() *Problem {
	return &Problem{
		Line: 1, Column: 1, Message: "the file holds no configuration",
		Hint: "retraind init writes a commented one",
	}
}
