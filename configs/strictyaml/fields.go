package strictyaml

import (
	"fmt"
	"reflect"
	"strings"
)

// fieldSet holds the yaml tags of a struct.
type fieldSet struct {
	byKey map[string][]int // index path, through inlined structs
	keys  []string         // in the order of declaration
	env   map[string]bool  // keys whose text may contain environment variables
	rest  []int            // the inlined map that takes every other key; nil without one
}

func (d *decoder) fieldsOf(t reflect.Type) *fieldSet {
	if set, ok := d.fields[t]; ok {
		return set
	}
	set := &fieldSet{byKey: map[string][]int{}, env: map[string]bool{}}
	set.collect(t, nil)
	d.fields[t] = set
	return set
}

func (s *fieldSet) collect(t reflect.Type, prefix []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		index := append(append([]int{}, prefix...), i)
		if strings.Contains(","+options+",", ",inline,") {
			switch f.Type.Kind() {
			case reflect.Struct:
				s.collect(f.Type, index)
				continue
			case reflect.Map:
				s.rest = index
				continue
			}
			panic(fmt.Sprintf("strictyaml: %s.%s: only structs and maps can be inlined", t, f.Name))
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		if _, dup := s.byKey[name]; dup {
			panic(fmt.Sprintf("strictyaml: %s: two fields for the key %q", t, name))
		}
		s.byKey[name] = index
		s.env[name] = f.Tag.Get("env") == "expand"
		s.keys = append(s.keys, name)
	}
}
