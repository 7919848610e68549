package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

type former interface{ YAMLForm(string) any }

func isFormer(t reflect.Type) bool { return reflect.PointerTo(t).Implements(reflect.TypeFor[former]()) }

// isShort reports whether a section may be written as one of its values alone.
func isShort(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && isFormer(t) && scalarForm(t) != nil && scalarForm(t).Kind() != reflect.Struct
}

func scalarForm(t reflect.Type) reflect.Type {
	part := reflect.New(t).Interface().(former).YAMLForm("scalar")
	if part == nil {
		return nil
	}
	return reflect.TypeOf(part).Elem()
}

// kind returns the name of a type for people.
func (r *reference) kind(t reflect.Type) (string, error) {
	if t.Kind() == reflect.Pointer {
		return r.kind(t.Elem())
	}
	switch t {
	case reflect.TypeFor[unit.Duration]():
		return "duration", nil
	case reflect.TypeFor[unit.Percent]():
		return "share", nil
	case reflect.TypeFor[unit.Points]():
		return "points", nil
	case reflect.TypeFor[unit.Rate]():
		return "rate", nil
	case reflect.TypeFor[unit.Size]():
		return "size", nil
	case reflect.TypeFor[unit.Clock]():
		return "time of day", nil
	case reflect.TypeFor[actions.StepConfig]():
		return "step", nil
	case reflect.TypeFor[serving.Option]():
		return "number, `true`, `false` or text", nil
	}
	switch {
	case t.Name() == "Days" && isText(t):
		return "days", nil
	case t.Name() == "List" && isFormer(t):
		return "text or list of text", nil
	case t.Name() == "Paths" && isFormer(t):
		return "text, list of text, or text by name", nil
	case isShort(t):
		short, err := r.kind(scalarForm(t))
		return short + " or section", err
	case isText(t) || isFormer(t):
		return "", fmt.Errorf("type %s has no readable name yet: add one to kind", t)
	}
	switch t.Kind() {
	case reflect.String:
		if t.PkgPath() == "" {
			return "text", nil
		}
		values, err := r.src.values(t)
		if len(values) == 0 {
			return "text", err
		}
		return "`" + strings.Join(values, "`, `") + "`", err
	case reflect.Int, reflect.Int64:
		return "whole number", nil
	case reflect.Float64:
		return "number", nil
	case reflect.Bool:
		return "`true`, `false`", nil
	case reflect.Struct:
		return "section", nil
	case reflect.Map:
		below, err := r.kind(t.Elem())
		return plural(below) + " by name", err
	case reflect.Slice:
		below, err := r.kind(t.Elem())
		return "list of " + plural(below), err
	}
	return "", fmt.Errorf("type %s has no readable name yet: add one to kind", t)
}

func plural(kind string) string {
	switch kind {
	case "section", "step", "share":
		return kind + "s"
	case "list of steps":
		return "lists of steps"
	}
	return kind
}

// plain formats a default as it is written in the configuration file.
func plain(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v.Interface())
}
