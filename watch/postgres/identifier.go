package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// maxName is PostgreSQL's limit for a name in bytes; the server silently truncates longer names.
const maxName = 63

// columnName matches a column name; any other label definition is an SQL expression.
var columnName = regexp.MustCompile(`^[\pL_][\pL\pN_$]*$`)

// calls matches text that looks like a function call.
var calls = regexp.MustCompile(`[\pL\pN_"]\s*\(`)

// calledNames finds the names of called functions; for a quoted name it finds "".
var calledNames = regexp.MustCompile(`(?:([\pL\pN_]+)|")\s*\(`)

// ident quotes a name.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes a text constant, independently of standard_conforming_strings.
func literal(text string) string {
	if strings.Contains(text, `\`) {
		return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name")
	case len(name) > maxName:
		return fmt.Errorf("name %q has %d bytes, PostgreSQL allows at most %d", name, len(name), maxName)
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return fmt.Errorf("name %q contains a NUL byte or is not valid UTF-8", name)
	}
	return nil
}

// parseTable splits "schema.table", with double quotes around a part that contains a dot. The schema is public when
// it is not named.
func parseTable(text string) (pgx.Identifier, error) {
	var parts pgx.Identifier
	rest := text
	for {
		var part, after string
		quoted := false
		if strings.HasPrefix(rest, `"`) {
			quoted = true
			i := 1
			for ; i < len(rest); i++ {
				if rest[i] != '"' {
					part += rest[i : i+1]
				} else if strings.HasPrefix(rest[i:], `""`) {
					part += `"`
					i++
				} else {
					break
				}
			}
			if i >= len(rest) {
				return nil, fmt.Errorf("table %s has a quote that is not closed", text)
			}
			after = rest[i+1:]
		} else if part, after, _ = strings.Cut(rest, "."); len(part) < len(rest) {
			after = "." + after
		}
		if strings.Contains(part, `"`) && !quoted {
			return nil, fmt.Errorf("table %s has a quote inside a name", text)
		}
		if err := checkName(part); err != nil {
			return nil, fmt.Errorf("table %q: %w", text, err)
		}
		parts = append(parts, part)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("table %s has text after a quoted name", text)
		}
		rest = after[1:]
	}
	switch len(parts) {
	case 1:
		return pgx.Identifier{"public", parts[0]}, nil
	case 2:
		return parts, nil
	}
	return nil, fmt.Errorf("table %s has more parts than a schema and a name", text)
}

// checkExpression refuses an expression that could break out of its place in a statement. The server finds all other
// errors.
func checkExpression(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case strings.ContainsRune(text, 0) || !utf8.ValidString(text):
		return errors.New("it contains a NUL byte or is not valid UTF-8")
	case columnName.MatchString(text):
		return checkName(text)
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return fmt.Errorf("a %c is not closed", c)
			}
			i += end + 1
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return errors.New("a closing parenthesis has no opening one")
			}
		case c == ';':
			return errors.New("a semicolon is not allowed")
		case c == '$':
			return errors.New("a dollar sign is not allowed")
		case strings.HasPrefix(text[i:], "--") || strings.HasPrefix(text[i:], "/*"):
			return errors.New("a comment is not allowed")
		}
	}
	if depth > 0 {
		return errors.New("a parenthesis is not closed")
	}
	return nil
}
