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

// Example is one line of train.jsonl and test.jsonl.
type Example struct {
	ID     string            `json:"id"`
	Text   map[string]string `json:"text"`   // text columns by name
	Labels Labels            `json:"labels"` // by target
}

// Labels are canonical labels by target. In JSON a label is a text, a number, a boolean, or a list of texts; null is no
// label.
type Labels map[string]string

// UnmarshalJSON reads labels as an export writes them.
func (l *Labels) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*l = make(Labels, len(raw))
	for target, v := range raw {
		var text string
		var list []string
		switch {
		case string(v) == "null":
		case json.Unmarshal(v, &text) == nil:
			(*l)[target] = text
		case json.Unmarshal(v, &list) == nil:
			(*l)[target] = serving.CanonicalSet(list)
		case v[0] == '{' || v[0] == '[':
			return fmt.Errorf("the label of target %q is %s: want a text, true, false, a number, or a list of texts", target, v[:min(len(v), 60)])
		default:
			(*l)[target] = string(v)
		}
	}
	return nil
}

// maxLine is the longest line that is read.
const maxLine = 64 << 20

// ReadExamples reads JSON Lines. Empty lines are skipped; anything else that cannot be read is an error with file and
// line, and so is an item without a text, or without a label of the target.
func ReadExamples(path, target string) ([]Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	defer f.Close()
	examples, err := readExamples(f, path, target)
	if err != nil {
		return nil, fmt.Errorf("read examples: %w", err)
	}
	return examples, nil
}

func readExamples(r io.Reader, path, target string) ([]Example, error) {
	var examples []Example
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e Example
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		switch {
		case e.ID == "":
			return nil, fmt.Errorf("%s:%d: the item has no id", path, n)
		case len(e.Text) == 0:
			return nil, fmt.Errorf("%s:%d: item %q has no text", path, n, e.ID)
		case e.Labels[target] == "":
			return nil, fmt.Errorf("%s:%d: item %q has no label %q", path, n, e.ID, target)
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
