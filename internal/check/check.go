// Package check holds what a validation found.
//
// It owns one type, Problem, that every package with a Config returns from Validate; package configs turns its path
// into file, line and column. It has no state and never prints.
package check

import "fmt"

// Problem is one fault of a configuration value, found after decoding.
type Problem struct {
	// Path leads to the value from the place where Validate was called: "limits.cooldown", "quiet_hours[1].from".
	Path string
	// Message says what is wrong, in lower case, with the offending value in it.
	Message string
	// Hint says how to mend it; it may be empty when the message already does.
	Hint string
	// Warning marks a finding that does not stop a load.
	Warning bool
}

// Problems is a growing list of findings.
type Problems []Problem

// Errorf adds an error.
func (p *Problems) Errorf(path, hint, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// Warnf adds a warning.
func (p *Problems) Warnf(path, hint, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// Under adds the findings of a nested Validate below path.
func (p *Problems) Under(path string, nested Problems) {
	for _, n := range nested {
		switch {
		case n.Path == "":
			n.Path = path
		case n.Path[0] == '[' || path == "":
			n.Path = path + n.Path
		default:
			n.Path = path + "." + n.Path
		}
		*p = append(*p, n)
	}
}

// Index is the path of a list's element.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
