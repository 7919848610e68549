// Package check defines the type of validation findings.
//
// It contains Problem and Nearest. Every package with a Config returns Problems from Validate, and package configs adds
// file, line and column to them. Nearest suggests the correct spelling of a misspelt name. The package has no shared
// state, reads no files and prints nothing.
package check

import (
	"errors"
	"fmt"
	"slices"
)

// Problem is one error or warning about a configuration value.
type Problem struct {
	// Path is the path of the value, relative to the value whose Validate was called: "limits.cooldown",
	// "quiet_hours[1].from".
	Path string
	// Message says what is wrong, in lower case, and quotes the offending value if there is one.
	Message string
	// Hint says how to correct the value. It may be empty if Message says so already.
	Hint string
	// Warning marks a finding that does not make the configuration invalid.
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

// Under adds the findings of a nested value, and puts path in front of their paths.
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

// Add adds err as an error. If err has a message and a hint, as a unit.Error does, it uses these.
func (p *Problems) Add(path string, err error) {
	var cured interface {
		error
		Parts() (message, hint string)
	}
	if errors.As(err, &cured) {
		message, hint := cured.Parts()
		p.Errorf(path, hint, "%s", message)
		return
	}
	p.Errorf(path, "", "%v", err)
}

// HasErrors reports whether any finding is an error.
func (p Problems) HasErrors() bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return !one.Warning })
}

// Invalid is the error for an invalid configuration. It contains all findings.
type Invalid struct {
	Problems Problems
}

// Error returns the first error among the findings.
func (e *Invalid) Error() string {
	for _, p := range e.Problems {
		if p.Warning {
			continue
		}
		if p.Hint == "" {
			return p.Path + ": " + p.Message
		}
		return p.Path + ": " + p.Message + " (" + p.Hint + ")"
	}
	return "invalid"
}

// Index returns the path of an element of a list.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
