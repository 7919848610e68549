package labelevent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

// Mapping defines where the parts of an event are found: by paths such as data.task.id, with dots between levels
// and numbers as positions in lists; in CSV by column names.
type Mapping struct {
	// ID is the path of the field with the item's id; default id.
	ID string `yaml:"id"`
	// Text is the path of the field with the text, a list of such paths, or the paths by the name of each text field;
	// default text, which may be a text or an object of texts.
	Text Paths `yaml:"text"`
	// Label is the path of the field with the label, if the model has one target; default label.
	Label string `yaml:"label"`
	// Targets are the paths of the fields with the labels, by target, if the model has several targets; default: the
	// fields of the object labels.
	Targets map[string]string `yaml:"targets"`
	// Author is the path of the field with the annotator's name; default author.
	Author string `yaml:"author"`
	// At is the path of the field with the time of the labelling, in RFC 3339 or in seconds since 1970; default at.
	At string `yaml:"at"`
	// Deleted is the path of a boolean field; true deletes the item. Default deleted.
	Deleted string `yaml:"deleted"`
}

// Paths are paths by the name of a text field. They are written as one path, as a list, or as a map by name; in
// the first two forms a field is named after the last part of its path.
type Paths struct {
	list   []string
	one    string
	byName map[string]string
}

// YAMLForm returns the field into which the given YAML form is decoded.
func (p *Paths) YAMLForm(form string) any {
	switch form {
	case "scalar":
		return &p.one
	case "list":
		return &p.list
	case "mapping":
		return &p.byName
	}
	return nil
}

// JSONSchema describes the three forms.
func (Paths) JSONSchema() *jsonschema.Schema {
	one := uint64(1)
	path := &jsonschema.Schema{Type: "string", MinLength: &one}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		path, {Type: "array", Items: path, MinItems: &one}, {Type: "object", AdditionalProperties: path, MinProperties: &one},
	}}
}

// Fields returns the paths by the name of the field; nil if none are configured.
func (p Paths) Fields() map[string]string {
	list := p.list
	if p.one != "" {
		list = []string{p.one}
	}
	if len(list) == 0 {
		return p.byName
	}
	out := map[string]string{}
	for _, path := range list {
		out[path[strings.LastIndexByte(path, '.')+1:]] = path
	}
	return out
}

// Validate reports every fault of the paths.
func (s *Mapping) Validate() check.Problems {
	var found check.Problems
	paths := map[string]string{"id": s.ID, "label": s.Label, "author": s.Author, "at": s.At, "deleted": s.Deleted}
	for name, path := range s.Targets {
		paths["targets."+name] = path
		if path == "" {
			found.Errorf("targets."+name, "name the field that holds the label", "no path")
		}
	}
	for name, path := range s.Text.byName {
		if path == "" {
			found.Errorf("text."+name, "name the field that holds the text", "no path")
		}
		paths["text."+name] = path
	}
	for i, path := range s.Text.list {
		if path == "" {
			found.Errorf(check.Index("text", i), "name the field that holds the text", "no path")
		}
		paths[check.Index("text", i)] = path
	}
	if n := len(s.Text.Fields()); n < len(s.Text.list) {
		found.Errorf("text", "name the fields: text: {title: data.title, lead: data.lead.title}",
			"%d paths have only %s at their ends", len(s.Text.list), text.Plural(n, "different name"))
	}
	paths["text"] = s.Text.one
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if err := checkPath(paths[key]); err != nil {
			found.Errorf(key, "write the names of the fields with single dots between them: data.task.id", "%q: %s", paths[key],
				err)
		}
	}
	if s.Label != "" && len(s.Targets) > 0 {
		found.Errorf("label", "keep one of the two", "both label and targets are set")
	}
	return found
}

func checkPath(path string) error {
	if path != "" && slices.Contains(strings.Split(path, "."), "") {
		return fmt.Errorf("a part of the path is empty")
	}
	return nil
}
