package configs

import (
	_ "embed"
	"path"
	"regexp"
	"strconv"
	"strings"
)

//go:embed example.yaml
var example string

// Example is the commented configuration that `retraind init` writes, for a model and the columns of its table.
type Example struct {
	Model string
	DSN   string // connection string, or a path with File set
	Table string
	ID    string
	Text  []string
	Label string
	State string
	// Capture is how changes are found, empty for the default; Watermark is the column of capture: poll.
	Capture, Watermark string
}

// Render fills the example in.
func (e Example) Render() string {
	capture := ""
	for _, key := range [][2]string{{"capture", e.Capture}, {"watermark", e.Watermark}} {
		if key[1] != "" {
			capture += "\n        " + key[0] + ": " + scalar(key[1])
		}
	}
	text := make([]string, len(e.Text))
	for i, column := range e.Text {
		if text[i] = scalar(column); column == "" {
			text[i] = `""` // told as what it is, not as a comma too many
		}
	}
	return strings.NewReplacer(
		"{{capture}}", capture, "{{current}}", path.Join(e.State, "models", e.Model, "current"),
		"{{model}}", scalar(e.Model), "{{dsn}}", scalar(e.DSN), "{{table}}", scalar(e.Table), "{{id}}", scalar(e.ID),
		"{{text}}", "["+strings.Join(text, ", ")+"]", "{{label}}", scalar(e.Label), "{{state}}", scalar(e.State),
	).Replace(example)
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
