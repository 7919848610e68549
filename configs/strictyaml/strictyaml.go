// Package strictyaml decodes a YAML file into Go structs and reports all of its problems at once.
//
// It owns the parsing of configuration text: the node tree, the positions of values, and the messages with file, line,
// column, excerpt and hint. Types are matched by their yaml tags; a type may implement encoding.TextUnmarshaler (a
// scalar with a unit), Former (several notations), Variant (one of several structs) or Defaulter. Decode keeps no
// state, so that several calls may run at the same time. The package never guesses a type, reads a file, or ignores an
// unknown key; it expands environment variables only in fields with the tag `env:"expand"`.
//
// Useful parts of YAML are supported: anchors, aliases, merge keys (<<) and, at the top level, keys that start with x-
// as a place for anchors.
package strictyaml

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

// Limits of a configuration file, far above any real one, so that hostile input is cheap to refuse.
const (
	maxBytes    = 8 << 20
	maxDepth    = 64
	maxNodes    = 2_000_000 // values visited, aliases counted each time they are used
	maxProblems = 100
)

// Former is implemented, on the pointer, by a type with several notations. The argument is "scalar", "list" or
// "mapping"; the result is a pointer to decode into, usually to a part of the receiver, or nil if that notation is not
// allowed. The result must not be a Former itself.
type Former interface {
	YAMLForm(form string) any
}

// Variant is implemented, on the pointer, by a type that is one of several structs, depending on what is written. For a
// scalar, `word` is its text and `keys` is nil. For a mapping, `keys` has the mapping's keys, each with the text of its
// value if that is a scalar. YAMLVariant returns a pointer to decode the mapping into, or nil if the word is complete
// by itself. A problem's path is the key that is wrong, "" for the whole value. YAMLChosen returns the chosen struct,
// nil before the choice.
type Variant interface {
	YAMLVariant(word string, keys map[string]string) (any, *check.Problem)
	YAMLChosen() any
}

// Defaulter is implemented, on the pointer, by a type whose keys have defaults. Decode calls it for each new value (an
// entry of a map or list, the target of a pointer) before it decodes the keys; the owner of a plain struct field sets
// its defaults.
type Defaulter interface {
	SetDefaults()
}

// Decode decodes `data` into the struct that `into` points to, which contains the defaults. `file` only names the data
// in messages. The error is of type Problems, ordered by position; after an error the struct is incomplete and must not
// be used. The document is returned whenever the text could be parsed, even with an error.
func Decode(file string, data []byte, into any) (*Document, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("strictyaml: Decode wants a pointer to a struct, not %T", into))
	}
	d := newDecoder(target.Elem().Type(), len(data)/24)
	d.doc.File, d.doc.Source = file, data
	d.doc.positions[""] = position{line: 1, column: 1}
	text, problem := checkText(data)
	if problem == nil {
		var root *yaml.Node
		root, problem = parse(text)
		if problem == nil {
			d.top(root, target.Elem())
			if d.gaveUp != nil {
				d.add(*d.gaveUp)
			}
		}
	}
	if problem != nil {
		d.problems = append(d.problems, *problem)
		d.doc = nil
	}
	for i := range d.problems {
		d.problems[i].File = file
	}
	d.problems.sort()
	if d.problems.Errors() > 0 {
		return d.doc, d.problems
	}
	d.doc.Warnings = d.problems
	return d.doc, nil
}

// top decodes the outermost value, which must be a mapping.
func (d *decoder) top(root *yaml.Node, target reflect.Value) {
	if root.Kind == yaml.AliasNode || root.Kind != yaml.MappingNode {
		d.fail(root, "", "write keys with values, as in \"version: 1\"",
			"the file contains %s instead of keys with values", describe(root))
		return
	}
	d.extensions = true
	d.mapping(root, "", target, 0)
}

func newDecoder(root reflect.Type, values int) *decoder {
	return &decoder{
		doc:      &Document{positions: make(map[string]position, values), expanded: map[string]bool{}},
		fields:   map[reflect.Type]*fieldSet{},
		readings: map[reflect.Type]reading{},
		said:     map[spot]bool{},
		root:     root,
	}
}

type decoder struct {
	doc      *Document
	problems Problems
	fields   map[reflect.Type]*fieldSet
	readings map[reflect.Type]reading
	root     reflect.Type
	said     map[spot]bool
	visited  int
	gaveUp   *Problem
	field    string // path of the current struct field
	// takesVariables is the path of the last field that allows environment variables.
	takesVariables string
	extensions     bool // keys starting with x- are skipped: only for the outermost mapping
}

func (d *decoder) fail(at *yaml.Node, path, hint, format string, args ...any) {
	d.add(Problem{Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (d *decoder) warn(at *yaml.Node, path, hint, format string, args ...any) {
	d.add(Problem{
		Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint,
		Warning: true,
	})
}

// add keeps one problem for each position: a fault repeated by an alias is reported once.
func (d *decoder) add(p Problem) {
	at := spot{p.Line, p.Column, p.Warning}
	if len(d.problems) < maxProblems && !d.said[at] {
		d.said[at] = true
		d.problems = append(d.problems, p)
	}
}

type spot struct {
	line, column int
	warning      bool
}

// last returns the part of a path that messages start with: the key, or "key[2]".
func last(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}
