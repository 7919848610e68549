package serving

import (
	"encoding/json"
	"fmt"
	"strings"
)

// CanonicalLabel converts the label of a source to the target's canonical text. Columns and expressions return texts,
// numbers, booleans or arrays, which are interpreted by the target's kind. For a set, a single value becomes a set of
// one, and an empty text an empty set. For a bool, a text that means neither true nor false is an error; for a label,
// an empty text is.
func (t Target) CanonicalLabel(s string) (string, error) {
	switch t.Kind {
	case KindBool:
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "true", "t", "1", "yes", "y", "on":
			return "true", nil
		case "false", "f", "0", "no", "n", "off":
			return "false", nil
		}
		return "", fmt.Errorf("label %s of target %s is neither true nor false", Excerpt([]byte(s)), t.Name)
	case KindSet:
		if strings.HasPrefix(s, "[") {
			var members []string
			if err := json.Unmarshal([]byte(s), &members); err == nil {
				return CanonicalSet(t.Normalize.applyAll(members)), nil
			}
		}
		if s == "" {
			return "[]", nil
		}
		return CanonicalSet([]string{t.Normalize.Apply(s)}), nil
	}
	switch s = t.Normalize.Apply(s); s {
	case "":
		return "", fmt.Errorf("label of target %s is an empty text: write null for no label", t.Name)
	case FormatError:
		return "", fmt.Errorf("label of target %s is %q, which is reserved for unusable answers: use another spelling", t.Name,
			FormatError)
	}
	return s, nil
}

// CanonicalLabels converts the labels of a source to canonical ones. Labels of other targets are dropped, and so are
// all labels of a row that labelled_when excludes. An item with an invalid label does not count for that target: the
// label is omitted, and if the target has a value for null, a mark is added, because a missing label would mean that
// value. The error names the first invalid label. Labels that are already canonical are returned unchanged.
func CanonicalLabels(targets []Target, labels map[string]string) (map[string]string, error) {
	if canonicalAlready(targets, labels) {
		return labels, nil
	}
	if _, not := labels[NotLabelled]; not {
		return map[string]string{NotLabelled: ""}, nil
	}
	out := make(map[string]string, len(targets))
	var first error
	for _, t := range targets {
		s, ok := labels[t.Name]
		if !ok {
			if _, bad := labels[InvalidLabel(t.Name)]; bad && t.Null != "" {
				out[InvalidLabel(t.Name)] = ""
			}
			continue
		}
		canonical, err := t.CanonicalLabel(s)
		if err != nil {
			if first == nil {
				first = err
			}
			if t.Null != "" {
				out[InvalidLabel(t.Name)] = ""
			}
			continue
		}
		out[t.Name] = canonical
	}
	return out, first
}

// canonicalAlready reports whether the labels can be returned unchanged, which saves a copy for nearly every row.
func canonicalAlready(targets []Target, labels map[string]string) bool {
	n := 0
	for _, t := range targets {
		if s, ok := labels[t.Name]; ok {
			if canonical, err := t.CanonicalLabel(s); err != nil || canonical != s {
				return false
			}
			n++
		}
	}
	return n == len(labels) && labels != nil
}

// JSON returns a canonical value as a JSON value: a boolean, a list of texts, or a text.
func (t Target) JSON(canonical string) any {
	switch t.Kind {
	case KindBool:
		if canonical == "true" || canonical == "false" {
			return canonical == "true"
		}
	case KindSet:
		var members []string
		if json.Unmarshal([]byte(canonical), &members) == nil && members != nil {
			return members
		}
	}
	return canonical
}

// NullValue returns the value of the configured null in canonical form.
func (t Target) NullValue() string {
	switch t.Kind {
	case KindBool:
		return t.Null
	case KindSet:
		var members []string
		if strings.HasPrefix(t.Null, "[") && json.Unmarshal([]byte(t.Null), &members) == nil {
			return CanonicalSet(t.Normalize.applyAll(members))
		}
		return CanonicalSet([]string{t.Normalize.Apply(t.Null)})
	}
	return t.Normalize.Apply(t.Null)
}
