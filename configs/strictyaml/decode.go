package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/text"
)

var (
	textType    = reflect.TypeFor[encoding.TextUnmarshaler]()
	formerType  = reflect.TypeFor[Former]()
	variantType = reflect.TypeFor[Variant]()
)

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// reading is how a type is decoded: generically, or by a method of its own.
type reading byte

const (
	readsNothing reading = iota
	readsForms
	readsVariant
	readsText
)

// reading returns how a type is decoded. It caches the result, because computing it takes longer than decoding a
// number.
func (d *decoder) reading(t reflect.Type) reading {
	r, known := d.readings[t]
	if !known {
		switch {
		case reflect.PointerTo(t).Implements(formerType):
			r = readsForms
		case reflect.PointerTo(t).Implements(variantType):
			r = readsVariant
		case isText(t):
			r = readsText
		}
		d.readings[t] = r
	}
	return r
}

// value decodes one node into a settable value.
func (d *decoder) value(n *yaml.Node, path string, into reflect.Value, depth int) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.exhausted(n, path, depth) {
		return
	}
	t := into.Type()
	if n.Style&yaml.TaggedStyle != 0 {
		d.fail(n, path, "remove the tag", "%s: YAML tags such as %s are not allowed", last(path), n.Tag)
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.null(n, path, into)
		return
	}
	switch d.reading(t) {
	case readsForms:
		d.form(n, path, into, depth)
		return
	case readsVariant:
		d.variant(n, path, into, depth)
		return
	case readsText:
		d.text(n, path, into)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		fresh := into
		if into.IsNil() {
			fresh = newValue(t.Elem()).Addr()
		}
		d.value(n, path, fresh.Elem(), depth)
		into.Set(fresh)
	case reflect.Struct, reflect.Map:
		if n.Kind != yaml.MappingNode {
			d.wrong(n, path, "keys with values", d.sectionHint(n, t))
			return
		}
		d.mapping(n, path, into, depth)
	case reflect.Slice:
		d.list(n, path, into, depth)
	default:
		d.scalar(n, path, into)
	}
}

// exhausted limits the work that anchors can cause; it reports the excess once.
func (d *decoder) exhausted(n *yaml.Node, path string, depth int) bool {
	d.visited++
	if d.visited <= maxNodes && depth <= maxDepth {
		return false
	}
	if d.gaveUp == nil {
		d.gaveUp = &Problem{
			Line: n.Line, Column: n.Column, Path: path,
			Message: "values are nested too deeply or repeated too often", Hint: "check that no anchor contains itself",
		}
	}
	return true
}

// newValue makes a value with its defaults.
func newValue(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if def, ok := v.Interface().(Defaulter); ok {
		def.SetDefaults()
	}
	return v.Elem()
}

// null distinguishes an explicit null, which switches an optional value off, from a key without a value.
func (d *decoder) null(n *yaml.Node, path string, into reflect.Value) {
	hint := "write its value, or leave the key out"
	t := into.Type()
	switch into.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if n.Value != "" {
			into.SetZero()
			return
		}
		if into.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	}
	if keys := d.keysHint(t); keys != "" {
		hint = keys
	}
	at := d.doc.positions[path]
	d.add(Problem{Line: at.line, Column: at.column, Path: path, Message: last(path) + " has no value", Hint: hint})
}

// sectionHint suggests what to write in place of a value where keys are expected.
func (d *decoder) sectionHint(n *yaml.Node, t reflect.Type) string {
	hint := d.keysHint(t)
	switch {
	case hint == "":
	case n.Kind == yaml.ScalarNode:
		if colon := missingColon(n.Value, d.fieldsOf(t)); colon != "" {
			return colon
		}
	case n.Kind == yaml.SequenceNode:
		return "remove the dashes or brackets; " + hint
	}
	return hint
}

func (d *decoder) keysHint(t reflect.Type) string {
	if t.Kind() != reflect.Struct || isText(t) || len(d.fieldsOf(t).keys) == 0 {
		return ""
	}
	return "the keys here are " + strings.Join(d.fieldsOf(t).keys, ", ")
}

// form decodes a scalar, a list or a mapping into the target that the type chooses for it.
func (d *decoder) form(n *yaml.Node, path string, into reflect.Value, depth int) {
	former := into.Addr().Interface().(Former)
	name := formOf(n)
	part := former.YAMLForm(name)
	if part == nil {
		var allowed []string
		for _, f := range []string{"scalar", "list", "mapping"} {
			if former.YAMLForm(f) != nil {
				allowed = append(allowed, formWords[f])
			}
		}
		d.wrong(n, path, strings.Join(allowed, " or "), "")
		return
	}
	target := reflect.ValueOf(part).Elem()
	if reflect.PointerTo(target.Type()).Implements(formerType) {
		panic(fmt.Sprintf("strictyaml: the %s form of %s is a Former itself", name, into.Type()))
	}
	d.value(n, path, target, depth)
}

// variant decodes into the struct that the type chooses by what is written.
func (d *decoder) variant(n *yaml.Node, path string, into reflect.Value, depth int) {
	var keys map[string]string
	switch n.Kind {
	case yaml.SequenceNode:
		d.wrong(n, path, "a single value or keys with values", "")
		return
	case yaml.MappingNode:
		keys = map[string]string{}
		for _, e := range d.entries(n, path, depth) {
			keys[e.key.Value] = e.value.Value
			d.place(join(path, e.key.Value), e.key, e.value)
		}
	}
	part, problem := into.Addr().Interface().(Variant).YAMLVariant(n.Value, keys)
	if problem != nil {
		at, where := position{line: n.Line, column: n.Column}, path
		if problem.Path != "" {
			where = join(path, problem.Path)
			at = d.doc.positions[where]
		}
		d.add(Problem{Line: at.line, Column: at.column, Path: where, Message: problem.Message, Hint: problem.Hint})
		return
	}
	if part != nil {
		d.value(n, path, reflect.ValueOf(part).Elem(), depth)
	}
}

var formWords = map[string]string{"scalar": "a single value", "list": "a list", "mapping": "keys with values"}

func formOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	}
	return "scalar"
}

func (d *decoder) list(n *yaml.Node, path string, into reflect.Value, depth int) {
	if n.Kind != yaml.SequenceNode {
		hint := "write each entry on a line of its own after \"- \""
		if n.Kind == yaml.ScalarNode {
			hint = "write [" + cutValue(n.Value) + "]"
		}
		d.wrong(n, path, "a list", hint)
		return
	}
	out := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
	for i, entry := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.place(at, nil, entry)
		v := newValue(into.Type().Elem())
		d.value(entry, at, v, depth+1)
		out.Index(i).Set(v)
	}
	into.Set(out)
}

// wrong reports a value that is not of the expected type.
func (d *decoder) wrong(n *yaml.Node, path, expected, hint string) {
	d.fail(n, path, hint, "%s: expected %s, found %s", last(path), expected, describe(n))
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool", "!!int", "!!float":
		return n.Value
	}
	return fmt.Sprintf("the text %q", cutValue(n.Value))
}

// cutValue shortens a value of the file for a message, and masks passwords in it.
func cutValue(s string) string { return text.Cut(masked(s), 60) }
