package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/actions"
)

// steps adds the rows of every kind of step. Kinds that describe a key in the same words share a row, which begins with
// their names.
func (r *reference) steps(path string) error {
	before := len(r.rows)
	kinds := map[row][]string{}
	var found []row
	for _, form := range actions.StepForms() {
		r.rows = r.rows[:before]
		if err := r.fields(path, reflect.ValueOf(form.New()).Elem()); err != nil {
			return err
		}
		for _, one := range r.rows[before:] {
			one.standard = ""
			if kinds[one] == nil {
				found = append(found, one)
			}
			kinds[one] = append(kinds[one], kindOfStep(string(form.Do), form.Key))
		}
	}
	for i, one := range found {
		if who := kinds[one]; !common(one.path, path) && !slices.Contains(who, "") {
			found[i].text = strings.Join(who, ", ") + ": " + one.text
		}
	}
	r.rows = append(r.rows[:before], found...)
	return nil
}

// kindOfStep names a kind of step in the table; "" for a step that includes a pipeline.
func kindOfStep(do, key string) string {
	switch {
	case do != "":
		return "`" + do + "`"
	case key == "exec":
		return "commands"
	}
	return ""
}

// common reports whether all kinds of steps have a key.
func common(key, path string) bool {
	return slices.Contains([]string{"do", "name", "timeout", "expect", "retries"}, key[len(path)+1:])
}

// step describes how a step may be written: as the name of a built-in step, or with the keys of one kind.
func (r *reference) step(path string) (*jsonschema.Schema, error) {
	word := &jsonschema.Schema{Type: "string", Description: "A built-in step without other keys."}
	out := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{word}}
	for _, form := range actions.StepForms() {
		s, err := r.object(path, reflect.ValueOf(form.New()).Elem())
		if err != nil {
			return nil, err
		}
		s.Required = []string{form.Key}
		if form.Do != "" {
			word.Enum = append(word.Enum, form.Do)
			do, _ := s.Properties.Get("do")
			do.Enum, do.Default = []any{form.Do}, nil
		}
		out.AnyOf = append(out.AnyOf, s)
	}
	return out, nil
}
