package configs

import (
	"cmp"
	"embed"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed example.yaml
var example string

//go:embed recipes/*.yaml
var recipes embed.FS

// Recipes lists the recipes by which an example can be written, beside that of the embedded classifier.
func Recipes() []string { return []string{"compose", "scikit-learn"} }

// Example is the commented configuration that `retraind init` writes, for a model and the columns of its table.
type Example struct {
	Model string
	DSN   string // connection string, or a path with File set
	Table string
	ID    []string
	Text  []string
	Label string
	State string
	// Recipe says what serves and how it is trained: one of Recipes, empty for the embedded classifier. Dir is where the
	// scripts of a recipe lie.
	Recipe, Dir string
	// Capture is how changes are found, empty for the default; Watermark is the column of capture: poll.
	Capture, Watermark string
	// Silent triggers do not wake retraind, so that transactions can be prepared.
	Silent bool
}

// Render fills the example in.
func (e Example) Render() string {
	capture := ""
	for _, key := range [][2]string{{"capture", e.Capture}, {"watermark", e.Watermark}} {
		if key[1] != "" {
			capture += "\n        " + key[0] + ": " + scalar(key[1])
		}
	}
	if e.Silent {
		capture += "\n        notify: false"
	}
	id := list(e.ID)
	if len(e.ID) == 1 {
		id = scalar(e.ID[0])
	}
	service, pipeline := recipe(cmp.Or(e.Recipe, "embedded"))
	return strings.NewReplacer(
		"{{dir}}", scalar(e.Dir),
		"{{capture}}", capture, "{{current}}", path.Join(e.State, "models", e.Model, "current"),
		"{{model}}", scalar(e.Model), "{{dsn}}", scalar(e.DSN), "{{table}}", scalar(e.Table), "{{id}}", id,
		"{{text}}", list(e.Text), "{{label}}", scalar(e.Label), "{{state}}", scalar(e.State),
	).Replace(strings.NewReplacer("{{service}}", service, "{{pipeline}}", pipeline).Replace(example))
}

// recipe is what a recipe says of the service and of the pipeline.
func recipe(name string) (service, pipeline string) {
	b, err := recipes.ReadFile("recipes/" + name + ".yaml")
	if err != nil {
		panic("configs: " + err.Error()) // they are part of the binary
	}
	service, pipeline, _ = strings.Cut(string(b), "# ---\n")
	return service, pipeline
}

// plain is what YAML takes as a text without quotes.
var plain = regexp.MustCompile(`^$|^[A-Za-z_/.][A-Za-z0-9_/.-]*$`)

// scalar writes a text as YAML.
func scalar(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// list writes texts as a list of YAML.
func list(texts []string) string {
	out := make([]string, len(texts))
	for i, text := range texts {
		if out[i] = scalar(text); text == "" {
			out[i] = `""` // told as what it is, not as a comma too many
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}
