package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

var (
	lineInError = regexp.MustCompile(`^line ([0-9]+): (.*)$`)
	plainIndent = regexp.MustCompile(`^[ \t]*`)
)

// cures are the usual fixes for the parser's errors, because the parser's own messages describe its internal state.
var cures = []struct{ complaint, message, hint string }{
	{
		"mapping values are not allowed", "a key is not expected here",
		"check the indentation; quote a text that contains \": \"",
	},
	{
		"found character that cannot start any token", "a character that cannot start a value",
		"quote texts that start with one of % @ ` *; indent with spaces",
	},
	{"could not find expected ':'", "a key without a colon", "write \"key: value\""},
	{
		"did not find expected key", "a key or the end of the block is expected here",
		"check the indentation and the quotes",
	},
	{"did not find expected ',' or ']'", "the list [ ] is not closed", "separate entries by commas and close it with ]"},
	{
		"did not find expected ',' or '}'", "the mapping { } is not closed",
		"separate entries by commas and close it with }",
	},
	{
		"did not find expected '-' indicator", "an entry of the list is expected here",
		"start each entry with \"- \", all at the same indentation",
	},
	{"found unexpected end of stream", "a quoted text is not closed", "add the missing quote"},
	{"unknown anchor", "", "define it before its use, as in \"x-night: &night {…}\""},
	{"exceeded max depth", "values are nested too deeply", ""},
	{"did not find expected node content", "a value is expected here", "check commas and brackets"},
	{
		"unknown escape character", "an unknown escape in a text with double quotes",
		"use single quotes, or write the backslash twice",
	},
}

// syntax turns the parser's error into a problem. The parser reports the line of the enclosing block or the line after
// the fault. Therefore syntax searches for the fault: it is in the line after the longest prefix that parses.
func syntax(text []byte, err error) *Problem {
	p := &Problem{Line: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	lines := strings.SplitAfter(string(text), "\n")
	if m := lineInError.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = m[2]
	}
	if n := firstBadLine(lines); n > 0 {
		p.Line = n
	}
	p.Line = min(max(p.Line, 1), len(lines))
	for _, c := range cures {
		if strings.Contains(p.Message, c.complaint) {
			if c.message != "" {
				p.Message = c.message
			}
			p.Hint = c.hint
			if near := nearestAnchor(p.Message, text); near != "" {
				p.Hint = fmt.Sprintf("did you mean *%s?", near)
			}
			break
		}
	}
	for n := p.Line; n >= max(1, p.Line-1); n-- {
		if tab := strings.IndexByte(plainIndent.FindString(lines[n-1]), '\t'); tab >= 0 {
			return &Problem{Line: n, Column: tab + 1, Message: "a tab in the indentation", Hint: "indent with spaces"}
		}
	}
	p.Column = 1 + len(plainIndent.FindString(lines[p.Line-1]))
	return p
}

var (
	unknownAnchor = regexp.MustCompile(`unknown anchor '([^']+)'`)
	anchor        = regexp.MustCompile(`&([^\s,\[\]{}]+)`)
)

// nearestAnchor returns the anchor that an unknown one is probably a misspelling of.
func nearestAnchor(complaint string, text []byte) string {
	unknown := unknownAnchor.FindStringSubmatch(complaint)
	if unknown == nil {
		return ""
	}
	var names []string
	for _, m := range anchor.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	return check.Nearest(unknown[1], names)
}

// firstBadLine returns the line after the longest prefix of lines that parses; 0 if the search would be too slow.
func firstBadLine(lines []string) int {
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	if size*len(lines)/2 > 16<<20 {
		return 0
	}
	text := strings.Join(lines, "")
	for n := len(lines) - 1; n >= 0; n-- {
		text = text[:len(text)-len(lines[n])]
		var node yaml.Node
		if err := yaml.NewDecoder(strings.NewReader(text)).Decode(&node); err == nil || errors.Is(err, io.EOF) {
			return n + 1
		}
	}
	return 0
}
