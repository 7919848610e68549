package configs

import (
	_ "embed"
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
			capture += "\n        " + key[0] + ": " + key[1]
		}
	}
	return strings.NewReplacer(
		"{{capture}}", capture,
		"{{model}}", e.Model, "{{dsn}}", e.DSN, "{{table}}", e.Table, "{{id}}", e.ID,
		"{{text}}", "["+strings.Join(e.Text, ", ")+"]", "{{label}}", e.Label, "{{state}}", e.State,
	).Replace(example)
}
