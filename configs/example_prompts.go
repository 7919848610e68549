package configs

import (
	"strconv"
	"strings"
)

// The names of the files with the prompts and the answer format of a language model.
const (
	systemName = "SYSTEM_PROMPT.txt"
	promptName = "prompt.tmpl"
	formatName = "answer.schema.json"
)

const answerFormat = `{
  "type": "object",
  "properties": {
    "label": {"type": "string", "enum": ["first category", "second category"]}
  },
  "required": ["label"]
}
`

// PromptFiles returns the files that the recipe LoRA needs beside the configuration, by name; the user completes them.
// It returns nil for other recipes.
func (e Example) PromptFiles() map[string]string {
	if e.Recipe != LoRA {
		return nil
	}
	var prompt strings.Builder
	for i, column := range e.Text {
		if i > 0 {
			prompt.WriteString("\n")
		}
		prompt.WriteString("{{index . " + strconv.Quote(column) + "}}\n")
	}
	return map[string]string{
		systemName: "You classify texts. Answer with the category of the text that you are given.\n",
		promptName: prompt.String(), formatName: answerFormat,
	}
}
