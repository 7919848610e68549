package strictyaml

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one fault of a file with its place. Line and Column count from 1, Column in characters; 0 means that the
// problem concerns the file as a whole.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"` // "models.relevance.quiet_hours[1].from"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

// Error returns the problem in one line: "file:line:column: message (hint)".
func (p Problem) Error() string {
	return p.place() + ": " + p.Text()
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Text returns the problem without its place: "message (hint)".
func (p Problem) Text() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + " (" + p.Hint + ")"
}

// Problems are the problems of a file; Decode reports at most maxProblems.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Errors counts the problems that are not warnings.
func (ps Problems) Errors() int {
	n := 0
	for _, p := range ps {
		if !p.Warning {
			n++
		}
	}
	return n
}

// With adds more problems, in the order of the file.
func (ps Problems) With(more Problems) Problems {
	all := append(ps[:len(ps):len(ps)], more...)
	all.sort()
	return all
}

// Err returns nil if there are only warnings.
func (ps Problems) Err() error {
	if ps.Errors() == 0 {
		return nil
	}
	return ps
}

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Column < ps[j].Column
	})
}
