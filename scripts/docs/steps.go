package main

import (
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/actions"
)

// steps adds the rows of all kinds of steps. A key that several kinds have gets only one row. The text of a key that
// not all kinds have begins with the name of the built-in step.
func (r *reference) steps(path string) error {
	before := len(r.rows)
	count := map[string]int{}
	var found []row
	for _, form := range actions.StepForms() {
		r.rows = r.rows[:before]
		if err := r.fields(path, reflect.ValueOf(form.New()).Elem()); err != nil {
			return err
		}
		for _, one := range r.rows[before:] {
			if count[one.path]++; count[one.path] > 1 {
				continue
			}
			if !common(one.path, path) && form.Do != "" {
				one.text = "Of `" + string(form.Do) + "`: " + one.text
			}
			one.standard = ""
			found = append(found, one)
		}
	}
	r.rows = append(r.rows[:before], found...)
	return nil
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
