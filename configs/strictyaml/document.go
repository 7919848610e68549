package strictyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

// Document is a decoded file: its text and the positions of its values.
type Document struct {
	File     string
	Source   []byte
	Warnings Problems // of the decoding; Locate returns those of a Validate

	positions map[string]position
	expanded  map[string]bool // values with expanded variables
	variables []string        // the names of these variables
}

// Variables lists the environment variables that the text of values was taken from.
func (d *Document) Variables() []string { return d.variables }

// Expanded reports whether a value came from the environment, in whole or in part.
func (d *Document) Expanded(path string) bool { return d.expanded[path] }

type position struct {
	line, column int
	scalar       bool // a single value
}

// Position returns the position of the value at a path, as in "models.relevance.quiet_hours[1].from". ok is false for
// a value that the file does not have.
func (d *Document) Position(path string) (line, column int, ok bool) {
	p, ok := d.positions[path]
	return p.line, p.column, ok
}

// Scalar returns the position of the value at a path. ok is true only if the value is a scalar.
func (d *Document) Scalar(path string) (line, column int, ok bool) {
	p := d.positions[path]
	return p.line, p.column, p.scalar
}

// Locate adds positions to the findings of a Validate; a finding about a missing key gets the position of its nearest
// parent.
func (d *Document) Locate(found check.Problems) Problems {
	var out Problems
	for _, f := range found {
		p := Problem{File: d.File, Path: f.Path, Message: f.Message, Hint: f.Hint, Warning: f.Warning}
		path := f.Path
		for {
			if at, ok := d.positions[path]; ok {
				p.Line, p.Column = at.line, at.column
				break
			}
			path = path[:max(0, strings.LastIndexAny(path, ".["))]
		}
		out = append(out, p)
	}
	out.sort()
	return out
}

// place records the position of a value: its own for a scalar, {…} or […], that of the key for a block or an empty
// value.
func (d *decoder) place(path string, key, value *yaml.Node) {
	at := value
	block := (value.Kind == yaml.MappingNode || value.Kind == yaml.SequenceNode) && value.Style&yaml.FlowStyle == 0
	absent := value.Kind == yaml.ScalarNode && value.Value == "" && !quoted(value)
	if key != nil && (block || absent) {
		at = key
	}
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	d.doc.positions[path] = position{at.Line, at.Column, value.Kind == yaml.ScalarNode}
}
