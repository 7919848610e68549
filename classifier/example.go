package classifier

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/retraind/retraind/serving"
)

// Example is one line of train.jsonl and test.jsonl. In these files a label is a text, a number, a boolean, or a list
// of texts; null means no label.
type Example struct {
	ID     string            `json:"id"`
	Text   map[string]string `json:"text"`   // text columns by name
	Labels map[string]string `json:"labels"` // canonical, by target
}

// readLabel parses a label of an export. It returns the canonical label and the kind of its target; an empty text means
// no label.
func readLabel(v json.RawMessage) (string, serving.Kind, error) {
	var text string
	var list []string
	switch {
	case string(v) == "null":
		return "", "", nil
	case json.Unmarshal(v, &text) == nil:
		return text, serving.KindLabel, nil
	case json.Unmarshal(v, &list) == nil:
		return serving.CanonicalSet(list), serving.KindSet, nil
	case v[0] == '{' || v[0] == '[':
		return "", "", fmt.Errorf("%s, want a text, true, false, a number, or a list of texts", v[:min(len(v), 60)])
	case string(v) == "true" || string(v) == "false":
		return string(v), serving.KindBool, nil
	}
	return string(v), serving.KindLabel, nil
}

// maxLine is the maximum length of a line in bytes.
const maxLine = 64 << 20

// ReadExamples reads examples from a file in JSON Lines and skips empty lines. For a line that cannot be parsed, or an
// item without an id, a text or a label of the target, it returns an error with file and line.
func ReadExamples(path, target string) ([]Example, error) {
	return readFile(path, target, map[string]serving.Kind{})
}

// readFile reads examples like ReadExamples, and records the kind of each target in the map kinds. If a target has sets
// in some lines and single values in others, it returns an error.
func readFile(path, target string, kinds map[string]serving.Kind) ([]Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	defer f.Close()
	examples, err := readExamples(f, path, target, kinds)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	return examples, nil
}

func readExamples(r io.Reader, path, target string, kinds map[string]serving.Kind) ([]Example, error) {
	var examples []Example
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		e, err := readExample(lines.Bytes(), target, kinds)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		examples = append(examples, e)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: the line is longer than %d MiB", path, n+1, maxLine>>20)
	case err != nil:
		return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
	}
	return examples, nil
}

func readExample(line []byte, target string, kinds map[string]serving.Kind) (Example, error) {
	var raw struct {
		ID     string                     `json:"id"`
		Text   map[string]string          `json:"text"`
		Labels map[string]json.RawMessage `json:"labels"`
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Example{}, err
	}
	e := Example{ID: raw.ID, Text: raw.Text, Labels: make(map[string]string, len(raw.Labels))}
	for name, v := range raw.Labels {
		label, kind, err := readLabel(v)
		if err != nil {
			return e, fmt.Errorf("the label of target %q is %w", name, err)
		}
		if label == "" {
			continue
		}
		e.Labels[name] = label
		before := kinds[name]
		switch {
		case before == "" || before == kind:
			kinds[name] = kind
		case before == serving.KindSet || kind == serving.KindSet:
			return e, fmt.Errorf("the label of target %q of item %q has kind %s, but labels before it have kind %s: all labels of a target must have the same kind",
				name, e.ID, kind, before)
		default: // a mix of booleans and texts, such as true and "unknown", is a label
			kinds[name] = serving.KindLabel
		}
	}
	switch {
	case e.ID == "":
		return e, errors.New("the item has no id")
	case len(e.Text) == 0:
		return e, fmt.Errorf("item %q has no text", e.ID)
	case e.Labels[target] == "":
		return e, fmt.Errorf("item %q has no label of target %q", e.ID, target)
	}
	return e, nil
}
