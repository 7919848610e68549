package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
)

type object = map[string]any

// minimal returns a short configuration with the required keys, and with the sections whose defaults the loader fills
// in only if they are present.
func minimal() object {
	return object{
		"version": 1,
		"nats":    object{},
		"models": object{"example": object{
			"labels": object{
				"postgres": object{
					"dsn": "host=localhost", "table": "items", "id": "id", "text": []any{"title"},
					"label": "category",
				}, "files": object{"dir": "labels"}, "nats": object{},
				"http": object{"listen": "127.0.0.1:7421", "secret_file": "labels-secret"},
			},
			"heldout": object{},
			"serving": object{"classify": "http://localhost/classify", "health": "http://localhost/health"},
			"retrain_when": object{
				"accuracy_below": object{"share": "85%"}, "when": object{"expression": "drop > 0.02"}, "accuracy_drop": object{},
				"macro_f1_drop": object{}, "category_recall_below": object{"all": "70%"},
				"category_recall_drop": object{}, "label_changes": object{}, "new_category": object{}, "label_shift": object{},
			},
			"gpu":     object{"free": "1GiB"},
			"promote": object{},
		}},
	}
}

func parse(o object) (*configs.Loaded, error) {
	text, err := json.Marshal(o) // JSON is YAML
	if err != nil {
		return nil, err
	}
	return configs.Parse("example.yaml", text)
}

// reference renders the tables.
type reference struct {
	src      *sources
	required map[string]bool
	rows     []row
}

func configuration(src *sources) (string, error) {
	loaded, err := parse(minimal())
	if err != nil {
		return "", fmt.Errorf("the minimal configuration: %w", err)
	}
	r := &reference{src: src, required: map[string]bool{}}
	if err := r.findRequired(nil); err != nil {
		return "", err
	}
	if err := r.fields("", reflect.ValueOf(*loaded.File)); err != nil {
		return "", err
	}
	return r.tables(), nil
}

// findRequired leaves out each key of the minimal configuration in turn: if the rest does not load, the key is
// required.
func (r *reference) findRequired(path []string) error {
	at := minimal()
	for _, key := range path {
		at = at[key].(object)
	}
	for key, value := range at {
		here := append(slices.Clone(path), key)
		without := minimal()
		parent := without
		for _, k := range path {
			parent = parent[k].(object)
		}
		delete(parent, key)
		_, err := parse(without)
		var invalid *configs.InvalidError
		if err != nil && !errors.As(err, &invalid) {
			return err
		}
		if key != "example" && key != "all" { // example is a name, and all has alternatives
			r.required[shown(here)] = err != nil
		}
		if _, ok := value.(object); ok {
			if err := r.findRequired(here); err != nil {
				return err
			}
		}
	}
	return nil
}

// shown writes a path with placeholders for names.
func shown(path []string) string {
	out := ""
	for i, key := range path {
		if i == 1 && path[0] == "models" {
			key = "NAME"
		}
		out = join(out, key)
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields adds a row for each key of a struct and descends into sections.
func (r *reference) fields(path string, v reflect.Value) error {
	docs, err := r.src.fields(v.Type())
	if err != nil {
		return err
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, inline := strings.CutSuffix(f.Tag.Get("yaml"), ",inline")
		value := v.Field(i)
		switch {
		case !f.IsExported() || name == "-":
			continue
		case inline && value.Kind() == reflect.Struct:
			if err := r.fields(path, value); err != nil {
				return err
			}
			continue
		case inline:
			name = "CATEGORY"
		case name == "":
			return fmt.Errorf("%s.%s has no yaml tag", v.Type(), f.Name)
		}
		here := join(path, name)
		if docs[f.Name] == "" {
			return fmt.Errorf("%s.%s (%s) has no comment", v.Type(), f.Name, here)
		}
		if err := r.key(here, f, value, prose(f.Name, docs[f.Name])); err != nil {
			return err
		}
	}
	return nil
}

// key adds the row of a key, and the rows of the keys below it.
func (r *reference) key(path string, f reflect.StructField, v reflect.Value, text string) error {
	form := f.Type
	if strings.HasSuffix(path, ".CATEGORY") {
		form = form.Elem() // one key for each category
	}
	kind, err := r.kind(form)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	standard := ""
	switch {
	case r.required[path]:
		standard = "required" + alternative(path)
	case !strings.HasSuffix(kind, "section") && !v.IsZero() && !written(path):
		standard = "`" + cell(plain(v)) + "`"
	}
	r.rows = append(r.rows, row{path, kind, standard, text})
	t := f.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case repeated(path), isText(t) || isFormer(t) && !isShort(t):
	case t.Kind() == reflect.Struct:
		below := reflect.New(t).Elem()
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		if v.Kind() == reflect.Struct {
			below = v
		}
		return r.fields(path, below)
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Pointer:
		return r.fields(path+".NAME", v.MapIndex(reflect.ValueOf("example")).Elem())
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		return r.fields(path+".NAME", reflect.New(t.Elem()).Elem())
	case t.Kind() == reflect.Map && t.Elem() == reflect.TypeFor[[]actions.StepConfig]():
		return r.steps(path + ".NAME[]")
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !isText(t.Elem()):
		return r.fields(path+"[]", reflect.New(t.Elem()).Elem())
	}
	return nil
}

// alternative names the key that may be set instead of a required one.
func alternative(path string) string {
	switch path {
	case "models.NAME.retrain_when":
		return ", or `urgent_when`"
	case "models.NAME.labels.postgres.dsn":
		return ", or `dsn_file`"
	case "models.NAME.labels.postgres.label":
		return ", or `targets`"
	case "models.NAME.serving.classify", "models.NAME.serving.health":
		return ", or `ollama`"
	case "models.NAME.gpu.free":
		return ", or `max_used`"
	}
	return ""
}

// written reports whether the minimal configuration sets a value that is no default.
func written(path string) bool {
	return slices.Contains([]string{
		"models.NAME.retrain_when.category_recall_below.all", "models.NAME.retrain_when.accuracy_below.share",
		"models.NAME.retrain_when.when.expression", "models.NAME.labels.postgres.dsn", "models.NAME.labels.postgres.targets",
		"models.NAME.labels.files.dir", "models.NAME.labels.http.listen", "models.NAME.labels.http.secret_file",
		"models.NAME.labels.nats.subject", "models.NAME.labels.nats.consumer", "models.NAME.labels.nats.dead_letter",
		"models.NAME.pipeline", "models.NAME.serving.targets", "models.NAME.serving.gate", "models",
	}, path)
}
