package serving

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving/ollama"
)

// OllamaConfig describes a model of the Ollama server at ollama.url.
type OllamaConfig struct {
	// Model is the name of the model on the Ollama server, such as liga-relevance; in serving.ollama it is the name that
	// clients request.
	Model string `yaml:"model"`
	// SystemFile is a file with the system prompt. The requests of serving.ollama do not contain it, because the model on
	// the server does; an export with format: chat and the requests of the step label contain it.
	SystemFile string `yaml:"system_file"`
	// PromptFile is a file with the prompt, a Go text/template over the text columns; default: the texts in the order of
	// their columns' names, with an empty line between them.
	PromptFile string `yaml:"prompt_file"`
	// FormatFile is a file with the JSON schema of the answer.
	FormatFile string `yaml:"format_file"`
	// TemplateFile is a file with the chat template, in Ollama's format, for the models that the step stage creates;
	// default: Ollama's conversion of the template in the model file. The step label does not accept it.
	TemplateFile string `yaml:"template_file"`
	// Options are the options of each request, such as temperature: 0 and seed: 1.
	Options map[string]Option `yaml:"options"`
	// Think switches the model's thinking on or off; default: the model's default.
	Think *bool `yaml:"think"`

	// URL and the content of the files are set when the configuration is loaded. A run keeps them as they were.
	URL    string `yaml:"-"`
	System string `yaml:"-"`
	// Foreign means that retraind does not create the model, so that requests contain the system prompt.
	Foreign  bool            `yaml:"-" json:",omitempty"`
	Prompt   string          `yaml:"-"`
	Template string          `yaml:"-" json:",omitempty"`
	Format   json.RawMessage `yaml:"-" json:",omitempty"`
}

// Option is the value of one option: a number, true or false, or a text.
type Option string

// UnmarshalText keeps the option as written.
func (o *Option) UnmarshalText(text []byte) error {
	*o = Option(text)
	return nil
}

// MarshalText returns the option as written.
func (o Option) MarshalText() ([]byte, error) { return []byte(o), nil }

// JSONSchema returns the schema of a scalar.
func (Option) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "number"}, {Type: "boolean"}, {Type: "string"}}}
}

// Value returns the option as a JSON value; `name` is the name of the option.
func (o Option) Value(name string) any {
	if name == "stop" {
		return []string{string(o)}
	}

	if b, err := strconv.ParseBool(string(o)); err == nil && (o == "true" || o == "false") {
		return b
	}
	if json.Valid([]byte(o)) && !strings.HasPrefix(string(o), `"`) && o != "null" {
		return json.RawMessage(o)
	}
	return string(o)
}

// maxPromptFile limits the size of a prompt file in bytes; a system prompt has a few kilobytes.
const maxPromptFile = 1 << 20

// Load reads the named files and keeps their content. It returns the faults of templates and schemas and, separately,
// the missing files.
func (c *OllamaConfig) Load(read func(path string) ([]byte, error)) (p, missing check.Problems) {
	text := func(key, path string) string {
		if path == "" {
			return ""
		}
		b, err := read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing.Errorf(key, "write it, or correct the name", "there is no file %s", path)
		case err != nil:
			p.Errorf(key, "", "%v", err)
		case len(b) > maxPromptFile:
			p.Errorf(key, "is it the right file?", "%s has %d bytes, more than %d", path, len(b), maxPromptFile)
		case strings.TrimSpace(string(b)) == "":
			p.Errorf(key, "write it, or remove the key", "%s is empty", path)
		default:
			return string(b)
		}
		return ""
	}
	c.System = strings.TrimRight(text("system_file", c.SystemFile), "\r\n")
	c.Template = text("template_file", c.TemplateFile)
	if c.Prompt = strings.TrimRight(text("prompt_file", c.PromptFile), "\r\n"); c.Prompt != "" {
		if _, err := parsePrompt(c.Prompt); err != nil {
			p.Errorf("prompt_file", "write a Go text/template, in which {{.title}} is the column title",
				"%s: %v", c.PromptFile, err)
		}
	}
	if format := text("format_file", c.FormatFile); format != "" {
		if _, err := newSchema([]byte(format)); err != nil {
			p.Errorf("format_file", "write a JSON schema of an object", "%s: %v", c.FormatFile, err)
		} else {
			var compact bytes.Buffer
			_ = json.Compact(&compact, []byte(format)) // as it is in a stored plan
			c.Format = compact.Bytes()
		}
	}
	return p, missing
}

// Validate returns the faults of the other settings; Load returns those of the files.
func (c *OllamaConfig) Validate(targets map[string]Target) check.Problems {
	var p check.Problems
	if c.Model == "" {
		p.Errorf("model", "write the name that clients use, as ollama list shows it", "no model is named")
	} else if strings.ContainsAny(c.Model, " \t\n\"'\\") {
		p.Errorf("model", "write the name as ollama list shows it", "%q cannot name a model", c.Model)
	}
	if c.URL == "" {
		p.Errorf("", `add ollama: {url: "http://127.0.0.1:11434"} at the top level`, "ollama.url is missing")
	}
	if c.Format == nil {
		return p
	}
	schema, err := newSchema(c.Format)
	if err != nil {
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if t := targets[name]; !schema.has(t.path()) {
			p.Errorf("format_file", "add it to properties, or correct serving.targets."+name+".answer",
				"the schema has no property %q, which target %s is read from", t.path(), name)
		}
	}
	return p
}

// CheckPrompt returns an error if the prompt uses columns that are not text columns, or cannot be executed.
func (c *OllamaConfig) CheckPrompt(columns []string) error {
	t, err := parsePrompt(c.Prompt)
	if err != nil {
		return nil //nolint:nilerr // reported by Load
	}
	if err := unknownColumn(t, columns); err != nil {
		return fmt.Errorf("%s:%w", c.PromptFile, err)
	}
	fields := map[string]string{}
	for _, column := range columns {
		fields[column] = "x"
	}
	if err := t.Option("missingkey=error").Execute(&strings.Builder{}, fields); err != nil {
		return fmt.Errorf("%s: %w; the text columns are %s", c.PromptFile, err, strings.Join(columns, ", "))
	}
	return nil
}

// Request returns a request about a text, in the form that clients send.
func (c *OllamaConfig) Request(fields map[string]string) (ollama.ChatRequest, error) {
	prompts, err := NewPrompts(c)
	if err != nil {
		return ollama.ChatRequest{}, err
	}
	prompt, err := prompts.Prompt(fields)
	return c.request(prompt), err
}

func (c *OllamaConfig) request(prompt string) ollama.ChatRequest {
	messages := []ollama.Message{{Role: "user", Content: prompt}}
	if c.Foreign && c.System != "" {
		messages = append([]ollama.Message{{Role: "system", Content: c.System}}, messages...)
	}
	return ollama.ChatRequest{
		Model: c.Model, Messages: messages,
		Format: c.Format, Options: c.options(), Think: c.Think, Whole: true,
	}
}

// Digest identifies the settings that requests, exported chats and created models share: system prompt, template, and
// those of Asked.
func (c *OllamaConfig) Digest() string { return digest(c.System, c.Template, c.Asked()) }

// Asked identifies the settings in requests: prompt, schema, options and think. A change of them changes the answers.
func (c *OllamaConfig) Asked() string {
	return digest(c.Prompt, string(c.Format), c.Options, c.Think)
}

func digest(parts ...any) string {
	doc, err := json.Marshal(parts)
	if err != nil {
		return "" // impossible: only texts and booleans
	}
	sum := sha256.Sum256(doc)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// options returns the options of a request.
func (c *OllamaConfig) options() map[string]any {
	if len(c.Options) == 0 {
		return nil
	}
	out := make(map[string]any, len(c.Options))
	for name, o := range c.Options {
		out[name] = o.Value(name)
	}
	return out
}
