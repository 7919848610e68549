package strictyaml

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/check"
)

// unknownHint suggests what to do about an unknown key of a struct.
func (d *decoder) unknownHint(key string, set *fieldSet, into reflect.Value) string {
	if own, ok := into.Addr().Interface().(interface{ YAMLUnknown(key string) string }); ok {
		if hint := own.YAMLUnknown(key); hint != "" {
			return hint
		}
	}
	if where := d.find(key, into.Type(), "", 0); where != "" {
		return fmt.Sprintf("it belongs under %s", where)
	}
	if hint := missingColon(key, set); hint != "" {
		return hint
	}
	if near := check.Nearest(key, set.keys); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if where := d.find(key, d.root, "", 0); where != "" {
		return fmt.Sprintf("it belongs under %s", where)
	}
	return "the keys here are " + strings.Join(set.keys, ", ")
}

// decimalComma detects a number with a decimal comma, whose second part looks like a key.
func decimalComma(before, key *yaml.Node) bool {
	return wholeNumber.MatchString(before.Value) && fraction.MatchString(key.Value) && !quoted(before) && !quoted(key) &&
		before.Line == key.Line && before.Column+len(before.Value)+1 == key.Column
}

var fraction = regexp.MustCompile(`^[0-9]+ *%?$`)

// missingColon detects a key and its value without the colon between them.
func missingColon(text string, set *fieldSet) string {
	word, value, ok := strings.Cut(text, " ")
	if _, known := set.byKey[word]; !ok || !known {
		return ""
	}
	return fmt.Sprintf("a colon is missing: write %q", word+": "+cutValue(strings.TrimSpace(value)))
}

// find searches deeper levels for the key, to say where a key at the wrong level belongs.
func (d *decoder) find(key string, t reflect.Type, under string, depth int) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case depth > 4:
		return ""
	case t.Kind() == reflect.Map:
		return d.find(key, t.Elem(), under+".NAME", depth+1)
	case t.Kind() != reflect.Struct || isText(t):
		return ""
	}
	set := d.fieldsOf(t)
	if _, ok := set.byKey[key]; ok && under != "" {
		return strings.TrimPrefix(under, ".")
	}
	for _, k := range set.keys {
		if where := d.find(key, t.FieldByIndex(set.byKey[k]).Type, under+"."+k, depth+1); where != "" {
			return where
		}
	}
	return ""
}
