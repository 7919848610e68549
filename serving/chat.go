package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/serving/ollama"
)

// Chat builds the conversations with which a language model is trained, from the same files as the requests to it:
// system prompt, prompt, and the answer that the labels require. It is safe for concurrent use.
type Chat struct {
	system  string
	prompts *Prompts
	targets []Target
	schema  *schema
}

// ErrIncomplete is wrapped by the errors of Messages if labels lack a field that the schema requires, and by those of
// Whole if the answer breaks the schema.
var ErrIncomplete = errors.New("a label that the schema requires is missing")

// NewChat returns the Chat of a loaded configuration.
func NewChat(c Config) (*Chat, error) {
	if c.Ollama == nil {
		return nil, errors.New("chats need a language model: set serving.ollama")
	}
	prompts, err := NewPrompts(c.Ollama)
	if err != nil {
		return nil, err
	}
	out := &Chat{system: c.Ollama.System, prompts: prompts, targets: c.List()}
	if c.Ollama.Format == nil {
		return out, nil
	}
	if out.schema, err = newSchema(c.Ollama.Format); err != nil {
		return nil, err
	}
	for _, name := range out.schema.required {
		if !slices.ContainsFunc(out.targets, func(t Target) bool { return head(t.path()) == name }) {
			return nil, fmt.Errorf("the schema requires %q, which no target has: labels cannot fill it; remove it from required",
				name)
		}
	}
	return out, nil
}

// Messages returns the conversation about a text with these labels. The answer has the labels in the order of the
// schema. The error wraps ErrIncomplete if a required label is missing; it is another error if a label is not a
// category of the schema.
func (c *Chat) Messages(fields, labels map[string]string) ([]ollama.Message, error) {
	prompt, err := c.prompts.Prompt(fields)
	if err != nil {
		return nil, err
	}
	answer, err := c.answer(labels)
	if err != nil {
		return nil, err
	}
	return c.conversation(prompt, answer), nil
}

func (c *Chat) conversation(prompt, answer string) []ollama.Message {
	messages := []ollama.Message{{Role: "user", Content: prompt}, {Role: "assistant", Content: answer}}
	if c.system != "" {
		messages = slices.Insert(messages, 0, ollama.Message{Role: "system", Content: c.system})
	}
	return messages
}

// Whole returns the conversation about a text with a complete answer, in which people's labels are already set. If the
// answer breaks the schema, the error wraps ErrIncomplete.
func (c *Chat) Whole(fields map[string]string, answer json.RawMessage) ([]ollama.Message, error) {
	prompt, err := c.prompts.Prompt(fields)
	if err != nil {
		return nil, err
	}
	if c.schema != nil {
		if err := c.schema.check(answer); err != nil {
			return nil, fmt.Errorf("%w: the answer %s breaks the schema: %w", ErrIncomplete, Excerpt(answer), err)
		}
	}
	ordered, err := c.ordered(answer)
	return c.conversation(prompt, ordered), err
}

// ordered writes the fields of an answer in the order of the schema; the model generates them in this order too.
func (c *Chat) ordered(answer json.RawMessage) (string, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(answer, &values); err != nil {
		return "", fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	var order []string
	if c.schema != nil {
		order = slices.Clone(c.schema.order)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	var parts []string
	for _, name := range order {
		if v, ok := values[name]; ok {
			parts = append(parts, string(encode(name))+": "+string(v))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}", nil
}

// answer returns the expected answer of the model. A label that stands for null is written as its category, or as null
// if the schema does not have that category.
func (c *Chat) answer(labels map[string]string) (string, error) {
	plain, err := c.object(labels, false)
	if err != nil || c.schema == nil {
		return plain, err
	}
	broken := c.schema.check([]byte(plain))
	if broken == nil {
		return plain, nil
	}
	if nulls, err := c.object(labels, true); err == nil && nulls != plain && c.schema.check([]byte(nulls)) == nil {
		return nulls, nil
	}
	return "", fmt.Errorf("the labels %s break the schema: %w", plain, broken)
}

func (c *Chat) object(labels map[string]string, nulls bool) (string, error) {
	values := map[string]any{}
	for _, t := range c.targets {
		label, ok := t.Value(labels)
		if !ok {
			continue
		}
		v := t.JSON(label)
		if nulls && t.Null != "" && label == t.NullValue() {
			v = nil
		}
		put(values, t.path(), v)
	}
	var order []string
	if c.schema != nil {
		order = c.schema.order
		for _, name := range c.schema.required {
			if _, ok := values[name]; !ok {
				return "", fmt.Errorf("%w: %s", ErrIncomplete, name)
			}
		}
	}
	for _, t := range c.targets { // fields outside the schema come last
		if name := head(t.path()); !slices.Contains(order, name) {
			order = append(slices.Clone(order), name)
		}
	}
	var b bytes.Buffer
	for _, name := range order {
		v, ok := values[name]
		if !ok {
			continue
		}
		b.WriteString(map[bool]string{true: "{", false: ", "}[b.Len() == 0])
		b.Write(bytes.Join([][]byte{encode(name), encode(v)}, []byte(": ")))
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("%w: the item has no label", ErrIncomplete)
	}
	return b.String() + "}", nil
}

// put sets a value at a dotted path.
func put(object map[string]any, path string, v any) {
	name, rest, dotted := strings.Cut(path, ".")
	if !dotted {
		object[name] = v
		return
	}
	nested, ok := object[name].(map[string]any)
	if !ok {
		nested = map[string]any{}
		object[name] = nested
	}
	put(nested, rest, v)
}

func head(path string) string {
	name, _, _ := strings.Cut(path, ".")
	return name
}

// keys returns the names of a JSON object in their written order.
func keys(object json.RawMessage) (names []string) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		var skipped json.RawMessage
		if err != nil || dec.Decode(&skipped) != nil {
			return names
		}
		names = append(names, fmt.Sprint(name))
	}
	return names
}
