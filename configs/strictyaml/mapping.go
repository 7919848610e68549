package strictyaml

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

type entry struct{ key, value *yaml.Node }

// entries lists a mapping's keys, its own first, then those merged by "<<" that it does not set itself. It reports
// repeated keys.
func (d *decoder) entries(n *yaml.Node, path string, depth int) []entry {
	var merged []entry
	own := make([]entry, 0, len(n.Content)/2)
	seen := newKeys(len(n.Content) / 2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, path, "write a plain word as the key", "expected a key, found %s", describe(key))
			continue
		case key.ShortTag() == "!!merge":
			merged = append(merged, d.merge(value, path, depth)...)
			continue
		case hasForbidden(key.Value):
			d.fail(key, path, "remove it", "a key with a control character: %q", cutValue(key.Value))
			continue
		}
		if first := seen.find(own, key.Value); first != nil {
			d.fail(key, join(path, key.Value), "remove one of them", "duplicate key %q, first on line %d", cutValue(key.Value),
				first.Line)
			continue
		}
		seen.add(key)
		own = append(own, entry{key, value})
	}
	for _, e := range merged {
		if seen.find(own, e.key.Value) == nil {
			seen.add(e.key)
			own = append(own, e)
		}
	}
	return own
}

// keys is an index of a mapping's keys. Most mappings are so small that a linear search is faster.
type keys map[string]*yaml.Node

const fewKeys = 16

func newKeys(n int) keys {
	if n <= fewKeys {
		return nil
	}
	return make(keys, n)
}

func (k keys) add(key *yaml.Node) {
	if k != nil {
		k[key.Value] = key
	}
}

func (k keys) find(own []entry, name string) *yaml.Node {
	if k != nil {
		return k[name]
	}
	for i := range own {
		if own[i].key.Value == name {
			return own[i].key
		}
	}
	return nil
}

// merge reads the value of "<<": a mapping or a list of mappings, of which the earlier takes precedence.
func (d *decoder) merge(n *yaml.Node, path string, depth int) []entry {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.exhausted(n, path, depth) {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return d.entries(n, path, depth+1)
	case yaml.SequenceNode:
		var all []entry
		for _, one := range n.Content {
			all = append(all, d.merge(one, path, depth+1)...)
		}
		return all
	}
	d.fail(n, path, "write <<: *name", "\"<<\" merges the keys of a section, but its value is %s", describe(n))
	return nil
}

// mapping decodes keys into a struct or a map.
func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value, depth int) {
	top := d.extensions
	d.extensions = false
	found := d.entries(n, path, depth)
	if into.Kind() == reflect.Map {
		d.names(found, path, into, depth, nil)
		return
	}
	set := d.fieldsOf(into.Type())
	var other []entry
	for i, e := range found {
		index, known := set.byKey[e.key.Value]
		at := join(path, e.key.Value)
		switch lower := strings.ToLower(e.key.Value); {
		case known:
			d.place(at, e.key, e.value)
			d.field = at
			if set.env[e.key.Value] {
				d.takesVariables = at
			}
			d.value(e.value, at, into.FieldByIndex(index), depth+1)
		case top && strings.HasPrefix(e.key.Value, "x-"):
		case set.rest != nil:
			other = append(other, e)
		case set.byKey[lower] != nil && lineOf(found, lower) != 0:
			d.fail(e.key, at, "remove one of them", "duplicate key %q, already on line %d as %q", cutValue(e.key.Value),
				lineOf(found, lower), lower)
		case i > 0 && decimalComma(found[i-1].value, e.key):
			d.fail(e.key, at, "write "+found[i-1].value.Value+"."+e.key.Value+": a comma begins the next key",
				"%q is read as a key", cutValue(e.key.Value))
		default:
			d.fail(e.key, at, d.unknownHint(e.key.Value, set, into), "unknown key %q", cutValue(e.key.Value))
		}
	}
	if other != nil {
		d.names(other, path, into.FieldByIndex(set.rest), depth, set.keys)
	}
}

// lineOf returns the line of a key, 0 if it is missing.
func lineOf(found []entry, key string) int {
	for _, e := range found {
		if e.key.Value == key {
			return e.key.Line
		}
	}
	return 0
}

// names decodes entries whose keys the user chose. If the section has fixed keys, too, a name that is similar to one of
// them is probably a typo.
func (d *decoder) names(found []entry, path string, into reflect.Value, depth int, fixed []string) {
	if into.Type().Key().Kind() != reflect.String {
		panic("strictyaml: " + into.Type().String() + ": map keys must be strings")
	}
	if into.IsNil() {
		into.Set(reflect.MakeMapWithSize(into.Type(), len(found)))
	}
	folded := map[string]*yaml.Node{}
	for _, e := range found {
		name := e.key.Value
		at := join(path, name)
		if name == "" {
			d.fail(e.key, at, "write a name", "an empty key")
			continue
		}
		if near := check.Nearest(name, fixed); near != "" && len(near) > 3 && !quoted(e.key) {
			d.warn(e.key, at, "put it in quotes if it is meant as a name",
				"%q is read as a name that you chose; did you mean the key %q?", cutValue(name), near)
		}
		if first := folded[strings.ToLower(name)]; first != nil {
			d.warn(e.key, at, "remove one of them if both mean the same", "%q and %q on line %d differ only in upper and lower case",
				cutValue(name), cutValue(first.Value), first.Line)
		}
		folded[strings.ToLower(name)] = e.key
		d.place(at, e.key, e.value)
		value := newValue(into.Type().Elem())
		d.value(e.value, at, value, depth+1)
		into.SetMapIndex(reflect.ValueOf(name).Convert(into.Type().Key()), value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
