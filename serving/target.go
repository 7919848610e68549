package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is the shape of a target's value.
type Kind string

// The kinds. The empty kind means KindLabel.
const (
	KindLabel Kind = "label" // one of several categories
	KindBool  Kind = "bool"  // true or false
	KindSet   Kind = "set"   // any number of categories; judged as a whole, and per category
)

// Target is one field of the service's answer that is compared with one label of an item.
type Target struct {
	// Name is the key under targets.
	Name string `yaml:"-"`
	// Answer is the path of the value in the service's JSON answer, with dots between levels; default: the target's name.
	Answer string `yaml:"answer"`
	// Label is the column with the true value, or an SQL expression over the row; default: the label of labels.postgres.
	Label string `yaml:"label"`
	// Kind is the kind of the value: label (one category), bool, or set (any number of categories); default label.
	Kind Kind `yaml:"kind"`
	// Null is the category that a null stands for, in answers and in labels. Without it an item with a null label does
	// not count, and a null answer is an error of the service.
	Null string `yaml:"null"`
	// Normalize defines which spellings of a category are equal, in answers and labels; it is set by
	// labels.normalize.
	Normalize Normalize `yaml:"-"`
}

// Answers maps targets to a service's answers, as canonical values: a category (unchanged, or normalized if Normalize
// is set), "true" or "false", or for a set a JSON array of sorted, distinct strings.
type Answers map[string]string

// Agrees reports whether `got` has, in every target of a, the same value as a.
func (a Answers) Agrees(got Answers) bool {
	for target, value := range a {
		if other, ok := got[target]; !ok || other != value {
			return false
		}
	}
	return true
}

// ParseAnswer reads the targets from a service's JSON answer. A missing or invalid field is an error, never a wrong
// answer; for a missing one, the error lists the fields of the answer. The confidence is the number in [0, 1] beside
// the first target's answer (named "confidence" or "<field>_confidence"), or 0 without one.
func ParseAnswer(targets []Target, body []byte) (Answers, float64, error) {
	answer, err := decodeAnswer(body)
	if err != nil {
		return nil, 0, err
	}
	return readAnswer(targets, answer)
}

func decodeAnswer(body []byte) (map[string]any, error) {
	var answer map[string]any
	if err := decodeWhole(body, &answer); errors.Is(err, errTrailing) {
		return nil, fmt.Errorf("%w: %s", err, Excerpt(body))
	} else if err != nil || answer == nil {
		return nil, fmt.Errorf("the answer is not a JSON object: %s", Excerpt(body))
	}
	return answer, nil
}

var errTrailing = errors.New("unexpected data after the JSON object of the answer")

// decodeWhole decodes an answer that must be one JSON value; a second value is an error, since either could be the
// answer.
func decodeWhole(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // a category may be a large number, which float64 would change
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func readAnswer(targets []Target, answer map[string]any) (Answers, float64, error) {
	out := make(Answers, len(targets))
	for _, t := range targets {
		v, ok := lookup(answer, t.path())
		if !ok {
			return nil, 0, fmt.Errorf("the answer has no field %q (it has %s): correct serving.targets.%s.answer or the service",
				t.path(), fieldNames(answer), t.Name)
		}
		value, err := t.Canonical(v)
		if err != nil {
			return nil, 0, fmt.Errorf("the answer's field %q: %w", t.path(), err)
		}
		out[t.Name] = value
	}
	var confidence float64
	if len(targets) > 0 {
		confidence = findConfidence(answer, targets[0].path())
	}
	return out, confidence, nil
}

// Canonical turns a decoded JSON value into the target's canonical text.
func (t Target) Canonical(v any) (string, error) {
	canonical, err := t.canonicalAnswer(v)
	if err != nil || t.Normalize == "" || t.Kind == KindBool {
		return canonical, err
	}
	return t.CanonicalLabel(canonical)
}

func (t Target) canonicalAnswer(v any) (string, error) {
	if v == nil {
		if t.Null == "" {
			return "", fmt.Errorf("null, but the meaning of null is not configured: set serving.targets.%s.null", t.Name)
		}
		return t.NullValue(), nil
	}
	switch t.Kind {
	case KindBool:
		switch b := v.(type) {
		case bool:
			return strconv.FormatBool(b), nil
		case string:
			if parsed, err := strconv.ParseBool(b); err == nil {
				return strconv.FormatBool(parsed), nil
			}
		case json.Number:
			if b == "0" || b == "1" {
				return strconv.FormatBool(b == "1"), nil
			}
		}
		return "", fmt.Errorf("%s is neither true nor false", show(v))
	case KindSet:
		list, ok := v.([]any)
		if text, isText := v.(string); isText { // already canonical, as a stored answer
			if json.Unmarshal([]byte(text), &list) != nil || list == nil {
				return "", fmt.Errorf("%s is not a list", show(v))
			}
			ok = true
		}
		if !ok {
			return "", fmt.Errorf("%s is not a list", show(v))
		}
		members := make([]string, 0, len(list))
		for _, e := range list {
			s, err := scalar(e)
			if err != nil {
				return "", err
			}
			members = append(members, s)
		}
		return CanonicalSet(members), nil
	default:
		return scalar(v)
	}
}

// CanonicalSet writes a set as a JSON array of its sorted, distinct members.
func CanonicalSet(members []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(members)))
	if sorted == nil {
		return "[]"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(sorted); err != nil {
		return "[]" // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// path returns the path of the answer.
func (t Target) path() string {
	if t.Answer == "" {
		return t.Name
	}
	return t.Answer
}

func scalar(v any) (string, error) {
	switch s := v.(type) {
	case string:
		switch s {
		case "":
			return "", errors.New("the category is an empty text")
		case FormatError:
			return "", fmt.Errorf("the category is %q, which is reserved for unusable answers", FormatError)
		}
		return s, nil
	case bool:
		return strconv.FormatBool(s), nil
	case json.Number:
		return s.String(), nil
	default:
		return "", fmt.Errorf("%s is not a category", show(v))
	}
}

// lookup follows a dotted path. A key that itself contains dots takes precedence.
func lookup(object map[string]any, path string) (any, bool) {
	if v, ok := object[path]; ok {
		return v, true
	}
	head, rest, dotted := strings.Cut(path, ".")
	if !dotted {
		return nil, false
	}
	nested, ok := object[head].(map[string]any)
	if !ok {
		return nil, false
	}
	return lookup(nested, rest)
}

func findConfidence(answer map[string]any, path string) float64 {
	prefix := ""
	field := path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		prefix, field = path[:i+1], path[i+1:]
	}
	for _, name := range []string{prefix + field + "_confidence", prefix + "confidence"} {
		v, _ := lookup(answer, name)
		if n, ok := v.(json.Number); ok {
			if f, err := n.Float64(); err == nil && f >= 0 && f <= 1 && !math.IsNaN(f) {
				return f
			}
		}
	}
	return 0
}

func fieldNames(answer map[string]any) string {
	names := slices.Sorted(maps.Keys(answer))
	if len(names) == 0 {
		return "no fields"
	}
	const most = 12
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v)
	}
	return Excerpt(b)
}

// Excerpt returns the printable start of a body, for messages.
func Excerpt(body []byte) string {
	const most = 200
	cut := ""
	if body = bytes.TrimSpace(body); len(body) > most {
		body, cut = body[:most], "…"
	}
	if len(body) == 0 {
		return "(empty)"
	}
	return strings.ToValidUTF8(strconv.QuoteToGraphic(string(body)), "?") + cut
}
