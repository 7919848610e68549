package serving

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

// maxPrompt limits the prompt of one text, in bytes.
const maxPrompt = 64 << 20

// parsePrompt parses a template over text columns; an empty template writes all of them. A column that a text does not
// have is empty.
func parsePrompt(text string) (*template.Template, error) {
	if text == "" {
		text = `{{range $i, $text := paragraphs .}}{{if $i}}` + "\n\n" + `{{end}}{{$text}}{{end}}`
	}
	t := template.New("prompt").Option("missingkey=zero").Funcs(template.FuncMap{"paragraphs": paragraphs})
	return t.Parse(text)
}

// paragraphs returns the texts of the columns that are not empty, in the order of the column names.
func paragraphs(fields map[string]string) []string {
	var out []string
	for _, column := range slices.Sorted(maps.Keys(fields)) {
		if fields[column] != "" {
			out = append(out, fields[column])
		}
	}
	return out
}

// Prompts renders the prompts of a configuration, for requests and exports. It is safe for concurrent use.
type Prompts struct{ template *template.Template }

// NewPrompts returns the Prompts of a loaded configuration.
func NewPrompts(c *OllamaConfig) (*Prompts, error) {
	t, err := parsePrompt(c.Prompt)
	if err != nil {
		return nil, fmt.Errorf("prompt_file %s: %w", c.PromptFile, err)
	}
	return &Prompts{t}, nil
}

// Prompt returns the prompt of a text. A column that the text does not have is empty. The text cannot inject control
// tokens of the chat template: they are written with a blank inside, which the tokenizer reads as plain characters.
func (p *Prompts) Prompt(fields map[string]string) (string, error) {
	plain := make(map[string]string, len(fields))
	for column, text := range fields {
		plain[column] = Defuse(text)
	}
	out, err := p.render(plain)
	if err != nil {
		return "", fmt.Errorf("prompt: %w", err)
	}
	if n := tokens(out); n > 0 && n > p.own(plain) { // two adjacent columns together formed a control token
		out = Defuse(out)
	}
	return out, nil
}

// own counts the control tokens of the template itself, in the branches that a text takes. If they cannot be counted,
// the result is 0.
func (p *Prompts) own(fields map[string]string) int {
	harmless := make(map[string]string, len(fields))
	for column, text := range fields {
		if text != "" { // an empty text may take another branch
			harmless[column] = "_"
		}
	}
	out, err := p.render(harmless)
	if err != nil {
		return 0
	}
	return tokens(out)
}

func (p *Prompts) render(fields map[string]string) (string, error) {
	var b strings.Builder
	err := p.template.Execute(&limited{b: &b, left: maxPrompt}, fields)
	return b.String(), err
}

// limited stops a template with endless output.
type limited struct {
	b    *strings.Builder
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("the prompt is longer than %d bytes", maxPrompt)
	}
	return l.b.Write(p)
}

// marks lists control tokens without bars, by their first character: Gemma's <start_of_turn>, [INST] and <s> of Llama
// 2 and Mistral, and those of thinking and tools. isToken recognizes those with bars by their form: <|…|> of ChatML
// and Llama 3, and <｜…｜> of DeepSeek.
var marks = map[byte][]string{
	'<': {
		"start_of_turn", "end_of_turn", "start_of_image", "end_of_image", "bos", "eos", "pad", "unk", "s", "think", "tools",
		"tool_call", "tool_response",
	},
	'[': {"inst", "system_prompt", "available_tools", "tool_calls", "tool_results"},
}

// longestToken is an upper bound of the length of a control token in bytes.
const longestToken = 128

// isToken reports whether a text starts with a control token.
func isToken(text string) bool {
	text = text[:min(len(text), longestToken)]
	for _, system := range []string{"<<SYS>>", "<</SYS>>"} {
		if len(text) >= len(system) && strings.EqualFold(text[:len(system)], system) {
			return true
		}
	}
	end := strings.IndexAny(text[1:], " \t\r\n<>[]")
	if end < 0 || text[end+1] != text[0]+2 { // > is two code points after <, and ] is two after [
		return false
	}
	name := text[1 : end+1]
	for _, bar := range []string{"|", "｜"} {
		if text[0] == '<' && len(name) >= 2*len(bar) && strings.HasPrefix(name, bar) && strings.HasSuffix(name, bar) {
			return true
		}
	}
	return slices.Contains(marks[text[0]], strings.ToLower(strings.TrimPrefix(name, "/")))
}

// nextToken returns the offset of the next < or [ from an offset on, -1 if there is none, and whether a control token
// starts there.
func nextToken(text string, from int) (at int, token bool) {
	at = strings.IndexAny(text[from:], "<[")
	if at < 0 {
		return -1, false
	}
	at += from
	return at, isToken(text[at:])
}

// tokens counts the control tokens of a text.
func tokens(text string) (n int) {
	for from := 0; ; {
		at, token := nextToken(text, from)
		if at < 0 {
			return n
		}
		if token {
			n++
		}
		from = at + 1
	}
}

// Defuse inserts a blank after the first character of each control token in a text.
func Defuse(text string) string {
	if tokens(text) == 0 {
		return text
	}
	var b strings.Builder
	for from := 0; ; {
		at, token := nextToken(text, from)
		if at < 0 {
			b.WriteString(text[from:])
			return b.String()
		}
		b.WriteString(text[from : at+1])
		if token {
			b.WriteByte(' ')
		}
		from = at + 1
	}
}
