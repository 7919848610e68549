package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/retraind/retraind/notify"
)

// events renders the catalogue: one section for each kind of event, then the structs that occur in their data.
func events(src *sources) (string, error) {
	var b strings.Builder
	shared, seen := []reflect.Type{}, map[reflect.Type]bool{}
	for _, e := range notify.Catalogue() {
		model := "MODEL"
		if strings.HasPrefix(string(e.Kind), "config.") || strings.HasPrefix(string(e.Kind), "daemon.") {
			model = notify.DaemonModel
		}
		fmt.Fprintf(&b, "### %s\n\n%s Subject `%s`, type `%s`", e.Kind, e.When, notify.Subject(model, e.Kind),
			notify.Type(e.Kind))
		if e.Entry != "" {
			fmt.Fprintf(&b, ", kept under `MODEL.%s` in the bucket `%s`", e.Entry, notify.Bucket)
		}
		b.WriteString(".\n\n")
		below, err := shape(src, &b, reflect.TypeOf(e.Data))
		if err != nil {
			return "", err
		}
		for _, t := range below {
			if !seen[t] {
				seen[t], shared = true, append(shared, t)
			}
		}
	}
	b.WriteString("### Nested objects\n\n")
	for i := 0; i < len(shared); i++ {
		fmt.Fprintf(&b, "`%s`:\n\n", strings.ToLower(shared[i].Name()))
		below, err := shape(src, &b, shared[i])
		if err != nil {
			return "", err
		}
		for _, t := range below {
			if !seen[t] {
				seen[t], shared = true, append(shared, t)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// shape writes the fields of a data type and returns the structs among them.
func shape(src *sources, b *strings.Builder, t reflect.Type) ([]reflect.Type, error) {
	docs, err := src.fields(t)
	if err != nil {
		return nil, err
	}
	var below []reflect.Type
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind, inner := jsonKind(f.Type)
		if inner != nil {
			below = append(below, inner)
		}
		if strings.Contains(options, "omit") {
			kind += ", may be absent"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, prose(f.Name, docs[f.Name]))
	}
	b.WriteString("\n")
	return below, nil
}

func jsonKind(t reflect.Type) (string, reflect.Type) {
	switch {
	case t.Kind() == reflect.Pointer:
		return jsonKind(t.Elem())
	case t.PkgPath() == "time":
		return "time", nil
	case t.Kind() == reflect.Struct:
		return "`" + strings.ToLower(t.Name()) + "`", t
	case t.Kind() == reflect.Slice:
		kind, inner := jsonKind(t.Elem())
		return "list of " + kind, inner
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "integer", nil
	case t.Kind() == reflect.Float64:
		return "number", nil
	case t.Kind() == reflect.Bool:
		return "true or false", nil
	}
	return "text", nil
}
