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

// LoRA names the recipe for a language model that is fine-tuned with LoRA and served by Ollama.
const LoRA = "lora-ollama"

// Recipes lists the recipes that an example can use in place of the embedded classifier.
func Recipes() []string { return []string{"compose", LoRA, "scikit-learn"} }

// Example is the commented configuration that `retraind init` writes, for a model and the columns of its table.
type Example struct {
	Model string
	DSN   string // path of the file with the connection string
	Table string
	ID    []string
	Text  []string
	Label string
	State string
	// Recipe is how the model is served and trained: one of Recipes, empty for the embedded classifier. Dir is the
	// directory of the recipe's scripts, Prompts that of the files which PromptFiles returns.
	Recipe, Dir, Prompts string
	// Capture is how changes are found, empty for the default; Watermark is the column of capture: poll.
	Capture, Watermark string
	// Silent means that the triggers do not wake retraind, so that transactions can be prepared (PREPARE TRANSACTION).
	Silent bool
}

// Render renders the example.
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
	r := readRecipe(cmp.Or(e.Recipe, "embedded"))
	text := strings.NewReplacer("{{service}}", r.service, "{{pipeline}}", r.pipeline, "{{serving}}", r.serving,
		"{{server}}", r.server).Replace(example)
	return strings.NewReplacer(
		"{{dir}}", scalar(e.Dir),
		"{{capture}}", capture, "{{current}}", path.Join(e.State, "models", e.Model, "current"),
		"{{model}}", scalar(e.Model), "{{dsn}}", scalar(e.DSN), "{{table}}", scalar(e.Table), "{{id}}", id,
		"{{text}}", list(e.Text), "{{label}}", scalar(e.Label), "{{state}}", scalar(e.State),
		"{{system}}", scalar(path.Join(e.Prompts, systemName)), "{{prompt}}", scalar(path.Join(e.Prompts, promptName)),
		"{{format}}", scalar(path.Join(e.Prompts, formatName)),
	).Replace(text)
}

// recipe holds the sections of a recipe that are inserted into the example.
type recipe struct {
	service  string // the service, and the directory of the scripts
	pipeline string
	serving  string // how it is queried
	server   string // the Ollama server, "" for none
}

// readRecipe reads a recipe. The defaults are a service with HTTP, and no Ollama server.
func readRecipe(name string) (r recipe) {
	read := func(name string) string {
		b, err := recipes.ReadFile("recipes/" + name + ".yaml")
		if err != nil {
			panic("configs: " + err.Error()) // cannot fail: they are embedded in the binary
		}
		return string(b)
	}
	r.serving = read("serving")
	for i, part := range strings.Split(read(name), "# ---\n") {
		*[]*string{&r.service, &r.pipeline, &r.serving, &r.server}[i] = part
	}
	return r
}

// plain matches texts that need no quotes in YAML.
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
			out[i] = `""` // otherwise the error would be about a comma, not about an empty value
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}
