package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
)

// schema writes the JSON Schema of a configuration, for editors: what the loader accepts, with the comments of the code
// as descriptions. Rules that involve several keys are checked only by the loader.
func schema(src *sources) ([]byte, error) {
	loaded, err := parse(minimal())
	if err != nil {
		return nil, fmt.Errorf("the minimal configuration: %w", err)
	}
	r := &reference{src: src, required: map[string]bool{}}
	if err := r.findRequired(nil); err != nil {
		return nil, err
	}
	s, err := r.object("", reflect.ValueOf(*loaded.File))
	if err != nil {
		return nil, err
	}
	s.Version = jsonschema.Version
	s.ID = "https://github.com/retraind/retraind/configs/retraind.schema.json"
	s.Title = "retraind configuration"
	s.PatternProperties = map[string]*jsonschema.Schema{"^x-": {Description: "A place for YAML anchors; retraind ignores this key."}}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(s)
	return out.Bytes(), err
}

// object describes a struct's keys.
func (r *reference) object(path string, v reflect.Value) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(),
		AdditionalProperties: jsonschema.FalseSchema,
	}
	return s, r.properties(s, path, v)
}

func (r *reference) properties(s *jsonschema.Schema, path string, v reflect.Value) error {
	docs, err := r.src.fields(v.Type())
	if err != nil {
		return err
	}
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		name, inline := strings.CutSuffix(f.Tag.Get("yaml"), ",inline")
		switch {
		case !f.IsExported() || name == "-":
			continue
		case inline && value.Kind() == reflect.Struct:
			if err := r.properties(s, path, value); err != nil {
				return err
			}
			continue
		}
		here := join(path, name)
		text := strings.ReplaceAll(prose(f.Name, docs[f.Name]), `\|`, "|")
		if inline {
			if s.AdditionalProperties, err = r.value(here, reflect.New(f.Type.Elem()).Elem()); err != nil {
				return err
			}
			s.AdditionalProperties.Description = text
			continue
		}
		one, err := r.value(here, value)
		if err != nil {
			return fmt.Errorf("%s: %w", here, err)
		}
		described(one, text)
		if simple(f.Type) && !value.IsZero() && !written(here) {
			one.Default = defaultOf(value)
		}
		s.Properties.Set(name, one)
		if r.required[here] && alternative(here) == "" {
			s.Required = append(s.Required, name)
		}
	}
	return nil
}

// described puts a key's description in front of the description of its type, which says how the value is written.
func described(s *jsonschema.Schema, text string) {
	s.Description = strings.TrimSpace(text + " " + s.Description)
}

// value describes the value of a key.
func (r *reference) value(path string, v reflect.Value) (*jsonschema.Schema, error) {
	t := v.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if v.IsNil() {
			v = reflect.New(t)
			if d, ok := v.Interface().(interface{ SetDefaults() }); ok {
				d.SetDefaults()
			}
		}
		v = v.Elem()
	}
	if own, ok := reflect.Zero(t).Interface().(interface{ JSONSchema() *jsonschema.Schema }); ok {
		return own.JSONSchema(), nil
	}
	if t == reflect.TypeFor[actions.StepConfig]() {
		return r.step(path)
	}
	if isShort(t) {
		short, err := r.value(path, reflect.New(scalarForm(t)).Elem())
		if err != nil {
			return nil, err
		}
		long, err := r.object(path, v)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{short, long}}, err
	}
	if isText(t) || isFormer(t) {
		return nil, fmt.Errorf("type %s has no JSONSchema method: write one that describes how its values are written", t)
	}
	switch t.Kind() {
	case reflect.String:
		return r.text(t)
	case reflect.Int, reflect.Int64:
		return &jsonschema.Schema{Type: "integer"}, nil
	case reflect.Float64:
		return &jsonschema.Schema{Type: "number"}, nil
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}, nil
	case reflect.Struct:
		s, err := r.object(path, v)
		if err == nil && path == "models.NAME.labels" { // any one of the sources
			s.MinProperties = new(uint64(1))
		}
		return s, err
	case reflect.Map:
		below, err := r.value(path+".NAME", sample(v))
		s := &jsonschema.Schema{Type: "object", AdditionalProperties: below}
		if path == "models" {
			s.PropertyNames = &jsonschema.Schema{Pattern: configs.ModelName}
		}
		return s, err
	case reflect.Slice:
		below, err := r.value(path+"[]", reflect.New(t.Elem()).Elem())
		return &jsonschema.Schema{Type: "array", Items: below}, err
	}
	return nil, fmt.Errorf("type %s has no schema", t)
}

// sample returns an entry of a map: the minimal configuration's own, which has defaults, or an empty one.
func sample(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Pointer && v.Len() > 0 {
		return v.MapIndex(v.MapKeys()[0])
	}
	return reflect.New(v.Type().Elem()).Elem()
}

// text describes a text, or an enumeration if its type has constants.
func (r *reference) text(t reflect.Type) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{Type: "string"}
	if t.PkgPath() == "" {
		return s, nil
	}
	values, err := r.src.values(t)
	for _, one := range values {
		if one != "" && !slices.Contains(s.Enum, any(one)) {
			s.Enum = append(s.Enum, one)
		}
	}
	return s, err
}

// simple reports whether a default can be shown in one word.
func simple(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		return isText(t)
	case reflect.Map, reflect.Slice:
		return false
	}
	return true
}

// defaultOf returns a default as it is written in the configuration file.
func defaultOf(v reflect.Value) any {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case isText(v.Type()):
		return plain(v)
	case v.Kind() == reflect.String:
		return v.String()
	}
	return v.Interface()
}
