package main

import (
	"fmt"
	"strings"
)

// row is the table row of one key.
type row struct{ path, kind, standard, text string }

const (
	modelPath  = "models.NAME."
	urgentPath = modelPath + "urgent_when" // has the same keys as retrain_when
	tableHead  = "| key | type | default | meaning |\n|---|---|---|---|\n"
)

// repeated reports whether a section has the same keys as another one, so that they are not listed again.
func repeated(path string) bool {
	return path == urgentPath || strings.HasPrefix(path, modelPath+"shadow.")
}

// tables renders the rows: one table for the top level, and one for each section of a model. The row of a section
// itself becomes the sentence above its table.
func (r *reference) tables() string {
	var b strings.Builder
	b.WriteString("### The top of the file\n\n" + tableHead)
	for _, row := range r.rows {
		key, inModel := strings.CutPrefix(row.path, modelPath)
		if inModel && !strings.ContainsAny(key, ".[") {
			b.WriteString("\n" + opening(row))
			continue
		}
		if inModel {
			end := strings.IndexAny(key, ".[")
			key = strings.TrimPrefix(key[end:], ".")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, row.kind, row.standard, row.text)
	}
	return b.String()
}

// opening returns the text above the table of a model's section.
func opening(section row) string {
	text := strings.ReplaceAll(section.text, `\|`, "|")
	if section.standard != "" {
		text += " Required."
	}
	head := "\n" + tableHead
	if section.kind == "text" {
		head = "" // a key of the model itself
	}
	if section.path == urgentPath {
		text, head = text+" The keys are those of `retrain_when`.", ""
	}
	return fmt.Sprintf("### `%s`\n\n%s\n%s", section.path, text, head)
}
