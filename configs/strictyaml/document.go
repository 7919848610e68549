package strictyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

// Document is a decoded file: its text and where each value stands.
type Document struct {
	File     string
	Source   []byte
	Warnings Problems // of the decoding; Locate gives those of a Validate

	positions map[string]position
	expanded  map[string]bool // values that variables were filled into
}

// Expanded says that a value came from the environment, in whole or in part.
func (d *Document) Expanded(path string) bool { return d.expanded[path] }

type position struct {
	line, column int
	scalar       bool // a single value stands there
}

// Position is where the value at a path stands, as in "models.relevance.quiet_hours[1].from". It is not ok for a value
// that the file does not have.
func (d *Document) Position(path string) (line, column int, ok bool) {
	p, ok := d.positions[path]
	return p.line, p.column, ok
}

// Scalar is where a path stands that is written as a single value.
func (d *Document) Scalar(path string) (line, column int, ok bool) {
	p := d.positions[path]
	return p.line, p.column, p.scalar
}

// Locate gives findings of a Validate their place; one about a key that the file does not have stands at its nearest
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

// place remembers where a value stands: a scalar or {…} itself, a block or nothing after a key at the key.
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
