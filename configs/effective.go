package configs

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/retraind/retraind/configs/strictyaml"
)

// Value is one key of the configuration in force, with the origin of its value.
type Value struct {
	Path  string `json:"path"` // models.news.limits.cooldown
	Value any    `json:"value"`
	// Origin is "file", "default", "flag" or "environment".
	Origin Origin `json:"origin"`
	// Where is the exact origin: retraind.yaml:14:24, --state, RETRAIND_STATE; empty for a default.
	Where string `json:"where,omitempty"`
}

// Origin is the kind of origin of a value.
type Origin string

// The origins.
const (
	FromFile        Origin = "file"
	FromDefault     Origin = "default"
	FromFlag        Origin = "flag"
	FromEnvironment Origin = "environment"
)

// From returns the origin as one word or place.
func (v Value) From() string {
	if v.Where != "" {
		return v.Where
	}
	return string(v.Origin)
}

// Values lists every key that has a value, in the order in which the keys are declared, and models by name. Passwords
// in URLs and connection strings are masked. `flags` are those that Overlay was given; they may be nil.
func (l *Loaded) Values(flags *pflag.FlagSet, s Settings) []Value {
	w := &effective{l: l}
	w.object("", reflect.ValueOf(*l.File))
	for i := range w.list {
		v := &w.list[i]
		if origin, where := overlaid(flags, v.Path); origin != "" {
			v.Origin, v.Where = origin, where
		}
	}
	for _, extra := range []Value{{Path: "log-level", Value: s.LogLevel}, {Path: "log-format", Value: s.LogFormat}} {
		extra.Origin = FromDefault
		if origin, where := overlaid(flags, extra.Path); origin != "" {
			extra.Origin, extra.Where = origin, where
		}
		w.list = append(w.list, extra)
	}
	return w.list
}

// effective collects the values of a configuration.
type effective struct {
	l    *Loaded
	list []Value
}

func (w *effective) object(path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, inline := strings.CutSuffix(f.Tag.Get("yaml"), ",inline")
		switch {
		case !f.IsExported() || name == "-":
		case inline && f.Type.Kind() == reflect.Struct:
			w.object(path, v.Field(i))
		case inline:
			w.names(path, v.Field(i))
		default:
			w.value(join(path, name), v.Field(i))
		}
	}
}

func (w *effective) names(path string, v reflect.Value) {
	keys := map[string]reflect.Value{}
	for _, k := range v.MapKeys() {
		keys[k.String()] = v.MapIndex(k)
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		w.value(join(path, name), keys[name])
	}
}

func (w *effective) value(path string, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.CanAddr() {
		if variant, ok := v.Addr().Interface().(strictyaml.Variant); ok {
			if chosen := variant.YAMLChosen(); chosen != nil {
				w.value(path, reflect.ValueOf(chosen))
			}
			return
		}
	}
	_, isText := v.Interface().(encoding.TextMarshaler)
	switch {
	case isText:
		w.leaf(path, v)
	case v.Kind() == reflect.Struct:
		w.object(path, v)
	case v.Kind() == reflect.Map:
		w.names(path, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			w.value(path+"["+strconv.Itoa(i)+"]", v.Index(i))
		}
	default:
		w.leaf(path, v)
	}
}

// leaf adds a value that is in the file or has a default.
func (w *effective) leaf(path string, v reflect.Value) {
	line, column, written := w.l.doc.Position(path)
	switch short := path[:max(0, strings.LastIndexByte(path, '.'))]; {
	case v.IsZero() && (!written || strings.HasSuffix(path, ".postgres.label")): // the label's column is shown under targets
		return
	case !written && strings.HasSuffix(short, ".postgres.targets"):
		line, column, written = w.l.doc.Position(strings.TrimSuffix(short, "targets") + "label")
	case !written: // accuracy_below: 85% is written at the key of its section
		line, column, written = w.l.doc.Scalar(short)
	}
	out := Value{Path: path, Value: v.Interface(), Origin: FromDefault}
	switch t := out.Value.(type) {
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		if err != nil {
			text = []byte(err.Error())
		}
		out.Value = string(text)
	case string:
		out.Value = hidden(path, t)
	}
	if written {
		out.Origin, out.Where = FromFile, fmt.Sprintf("%s:%d:%d", w.l.Path, line, column)
	}
	w.list = append(w.list, out)
}

// hidden masks the password in a connection string or a URL; it leaves the texts of other keys unchanged.
func hidden(path, text string) string {
	url := strings.HasSuffix(path, ".url") || strings.HasSuffix(path, ".serving.classify") ||
		strings.HasSuffix(path, ".serving.health") || strings.HasSuffix(path, ".healthy")
	if !url && !strings.HasSuffix(path, ".dsn") {
		return text
	}
	return strictyaml.Masked(text, func(string) string { return "xxxxx" })
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
