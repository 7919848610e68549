package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// parseLabels decodes the jsonb object that the capture SQL returns. A nil text gives nil.
func (s *schema) parseLabels(text *string) (watch.Labels, error) {
	if text == nil {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(*text), &raw); err != nil {
		return nil, fmt.Errorf("labels %.100q: %w", *text, err)
	}
	labels := make(watch.Labels, len(raw))
	for name, v := range raw {
		value, present, err := s.canonical(name, v)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", name, err)
		}
		if present {
			labels[name] = value
		}
	}
	return labels, nil
}

// canonical turns a JSON value into a label. For a null it returns present = false.
func canonical(raw []byte) (label string, present bool, err error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", false, nil
	case raw[0] == '"':
		err := json.Unmarshal(raw, &label)
		return label, err == nil, err
	case raw[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return "", false, err
		}
		members := make([]string, 0, len(list))
		for _, element := range list {
			member, present, err := canonical(element)
			if err != nil {
				return "", false, err
			}
			if present {
				members = append(members, member)
			}
		}
		return serving.CanonicalSet(members), true, nil
	case raw[0] == '{':
		return "", false, fmt.Errorf("%.100s is an object (name one of its fields in the label's expression)", raw)
	}
	return string(raw), true, nil // a number or a boolean
}

// same reports whether two label sets are equal.
func same(a, b watch.Labels) bool { return maps.Equal(a, b) }
