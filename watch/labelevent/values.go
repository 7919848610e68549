package labelevent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// itemID returns the id of an item. A list is a composite key.
func (d *Decoder) itemID(object map[string]any, path string) (string, error) {
	v, ok := find(object, path)
	if !ok || v == nil {
		return "", fmt.Errorf("no item id: there is no field %s", path)
	}
	var id string
	var err error
	switch v := v.(type) {
	case string:
		id = v
	case json.Number:
		id = v.String()
	case []any:
		if id, err = d.compositeID(path, v); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("%s: an id must be a text or a number, not %s", path, kindOf(v))
	}
	switch {
	case id == "":
		return "", fmt.Errorf("%s: the id is empty", path)
	case len(id) > MaxID:
		return "", fmt.Errorf("%s: the id has %d bytes, at most %d are allowed", path, len(id), MaxID)
	}
	return id, printable(path, id)
}

// compositeID formats a composite key. If a table has such a key, the id gets the form that PostgreSQL's jsonb has, which
// the table's source uses: blanks after commas, numbers without quotes.
func (d *Decoder) compositeID(path string, parts []any) (string, error) {
	if d.keyColumns > 0 && len(parts) != d.keyColumns {
		return "", fmt.Errorf("%s: the id has %s, the table's key has %d columns", path, text.Plural(len(parts), "part"), d.keyColumns)
	}
	formatted := make([]string, len(parts))
	for i, part := range parts {
		switch part := part.(type) {
		case string:
			if err := printable(path, part); err != nil {
				return "", err
			}
			formatted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(part) + `"`
		case json.Number:
			if d.keyColumns == 0 {
				return "", fmt.Errorf("%s: the parts of a composite id must be texts", path)
			}
			formatted[i] = part.String()
		default:
			return "", fmt.Errorf("%s: the parts of a composite id must be texts or numbers, not %s", path, kindOf(part))
		}
	}
	if d.keyColumns > 0 {
		return "[" + strings.Join(formatted, ", ") + "]", nil
	}
	id, err := json.Marshal(parts)
	return string(id), err
}

// printable refuses control characters and U+FFFD, which replaces bytes that could not be decoded.
func printable(path, s string) error {
	if i := strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }); i >= 0 {
		return fmt.Errorf("%s: %s has a control or replacement character at byte %d", path, quoteShort(s), i+1)
	}
	return nil
}

func (d *Decoder) readText(object map[string]any) (map[string]string, error) {
	out := map[string]string{}
	if d.text == nil {
		switch v := object["text"].(type) {
		case nil:
			return nil, nil
		case string:
			out["text"] = v
		case map[string]any:
			for name, v := range v {
				s, ok := v.(string)
				switch {
				case v == nil:
				case !ok:
					return nil, fmt.Errorf("text.%s: expected a text, not %s", quoteShort(name), kindOf(v))
				default:
					out[name] = s
				}
			}
		default:
			return nil, fmt.Errorf("text: expected a text or an object of texts, not %s", kindOf(v))
		}
	}
	for name, path := range d.text {
		v, ok := find(object, path)
		if !ok || v == nil {
			continue
		}
		switch v := v.(type) {
		case string:
			out[name] = v
		case json.Number:
			out[name] = v.String()
		default:
			return nil, fmt.Errorf("%s: expected a text, not %s", path, kindOf(v))
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	for _, name := range d.required {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("the text has no field %s, which heldout.group needs", name)
		}
	}
	for name, s := range out {
		if strings.ContainsRune(s, 0) {
			return nil, fmt.Errorf("text field %s contains a NUL byte", quoteShort(name))
		}
	}
	return out, nil
}

// canonicalLabel turns a JSON value into a target's label.
func canonicalLabel(t serving.Target, v any) (string, error) {
	if list, ok := v.([]any); ok && t.Kind != serving.KindSet && len(list) == 1 {
		v = list[0] // annotation tools send a single choice as a list
	}
	if s, ok := v.(string); ok && t.Kind == serving.KindSet {
		var texts []string
		if json.Unmarshal([]byte(s), &texts) != nil || texts == nil { // nil: the text is null
			return "", fmt.Errorf("target %s is a set: expected a list of labels, not a text", t.Name)
		}
		var list []any
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			return "", err
		}
		v = list
	}
	label, err := t.Canonical(v)
	switch {
	case err != nil:
		return "", fmt.Errorf("not a label: %w", err)
	case len(label) > maxLabel:
		return "", fmt.Errorf("the label has %d bytes, at most %d are allowed", len(label), maxLabel)
	case strings.TrimSpace(label) == "":
		return "", errors.New("the label is blank (write null to remove a label)")
	}
	return label, printable("the label", label)
}

// eventTime returns the time of an event. It returns the time "now" if the event has no time, or a time that is before
// 1970 or more than maxAhead in the future. A value that is no time is an error, and so is a number that is not positive
// or too large for seconds. A text may contain the number, because a cell of a CSV file is always a text.
func (d *Decoder) eventTime(object map[string]any, now time.Time) (time.Time, error) {
	v, ok := find(object, d.at)
	if !ok || v == nil || v == "" {
		return now, nil
	}
	if s, ok := v.(string); ok && isNumber(s) {
		v = json.Number(s)
	}
	var at time.Time
	switch v := v.(type) {
	case string:
		var err error
		if at, err = time.Parse(time.RFC3339Nano, v); err != nil {
			// Python's isoformat leaves out the zone of a time in UTC.
			if at, err = time.Parse("2006-01-02T15:04:05.999999999", v); err != nil {
				return now, fmt.Errorf("%s: %s is not a time (write 2026-11-22T20:15:00Z)", d.at, quoteShort(v))
			}
		}
	case json.Number:
		seconds, err := v.Float64()
		if err != nil || !(seconds > 0 && seconds < 1e11) {
			return now, fmt.Errorf("%s: %s is not a number of seconds since 1970", d.at, quoteShort(v.String()))
		}
		at = time.Unix(0, int64(seconds*1e9))
	default:
		return now, fmt.Errorf("%s: expected a time, not %s", d.at, kindOf(v))
	}
	if at = at.UTC(); at.After(now.Add(maxAhead)) || at.Year() < 1970 {
		return now, nil
	}
	return at, nil
}

// isNumber reports whether a text is a number in the syntax of JSON.
func isNumber(s string) bool {
	return strings.Trim(s, "+-.0123456789eE") == "" && json.Valid([]byte(s))
}

// author returns the name of an author, cut to at most maxAuthor bytes. It returns "" for a value that is not a name,
// so that the label is not refused because of it.
func author(v any) string {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case json.Number:
		s = v.String()
	}
	s = WithoutControls(s)
	for len(s) > maxAuthor {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// WithoutControls removes control characters, line breaks and U+FFFD.
func WithoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
