package strictyaml

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/retraind/retraind/internal/text"
)

// Render prints each problem with the lines around it and a caret below the fault, then the count. `source` is the text
// that was decoded.
func (ps Problems) Render(w io.Writer, source []byte) error {
	var b strings.Builder
	lines := bytes.Split(bytes.TrimPrefix(source, []byte("\ufeff")), []byte("\n"))
	for _, p := range ps {
		severity := "error"
		if p.Warning {
			severity = "warning"
		}
		fmt.Fprintf(&b, "%s  %s  %s\n", text.Visible(p.place()), severity, text.Visible(p.Text()))
		excerpt(&b, lines, p)
	}
	warnings := len(ps) - ps.Errors()
	switch {
	case warnings == 0:
		fmt.Fprintln(&b, text.Plural(ps.Errors(), "error"))
	case ps.Errors() == 0:
		fmt.Fprintln(&b, text.Plural(warnings, "warning"))
	default:
		fmt.Fprintf(&b, "%s, %s\n", text.Plural(ps.Errors(), "error"), text.Plural(warnings, "warning"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// excerpt prints the line of the problem with its neighbours and a line with a caret.
func excerpt(b *strings.Builder, lines [][]byte, p Problem) {
	if p.Line < 1 || p.Line > len(lines) {
		return
	}
	for n := p.Line - 1; n <= p.Line+1; n++ {
		if n < 1 || n > len(lines) || (n > p.Line && n == len(lines) && len(lines[n-1]) == 0) {
			continue
		}
		shown := masked(printable(lines[n-1]))
		shift := 0
		if n == p.Line && p.Column > 1 {
			shown, shift = scroll(shown, p.Column-1)
		}
		shown = text.Cut(shown, lineWidth)
		b.WriteString(strings.TrimRight(fmt.Sprintf("%6d | %s", n, shown), " ") + "\n")
		if n == p.Line && p.Column > 0 {
			at := p.Column - 1 - shift
			fmt.Fprintf(b, "       | %s%s\n", strings.Repeat(" ", at), strings.Repeat("^", width([]rune(shown), at)))
		}
	}
}

// masked masks passwords, because the output may end in a log. The mask is as wide as the password, so that the caret
// stays in place.
func masked(text string) string {
	return Masked(text, func(secret string) string {
		if strings.HasPrefix(secret, "${") {
			return secret // the name of a variable
		}
		return strings.Repeat("x", utf8.RuneCountInString(secret))
	})
}

const lineWidth = 110

// scroll drops the start of a line that is so long that the caret would be out of sight.
func scroll(text string, at int) (string, int) {
	runes := []rune(text)
	if at < lineWidth-20 || at >= len(runes) {
		return text, 0
	}
	drop := at - 20
	return "…" + string(runes[drop+1:]), drop
}

// printable makes every character one column wide and harmless for a terminal, so that the caret stays in place.
func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return utf8.RuneError
		}
		return r
	}, strings.TrimSuffix(string(line), "\r"))
}

// width returns the length in characters of the value or key that starts at a column.
func width(line []rune, at int) int {
	if at >= len(line) {
		return 1
	}
	rest := line[at:]
	switch first := rest[0]; first {
	case '{', '[', '-', '|', '>', ' ':
		if first != '-' || len(rest) == 1 || rest[1] == ' ' {
			return 1
		}
	case '"', '\'':
		for i := 1; i < len(rest); i++ {
			if rest[i] == first {
				return i + 1
			}
		}
	}
	end := len(rest)
	for i, r := range rest {
		next := ' '
		if i+1 < len(rest) {
			next = rest[i+1]
		}
		if (r == ':' || r == ',') && (next == ' ' || next == '}' || next == ']') || r == '}' || r == ']' || r == ' ' &&
			next == '#' {
			end = i
			break
		}
	}
	return max(1, len([]rune(strings.TrimRight(string(rest[:end]), " "))))
}
