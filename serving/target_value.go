package serving

import "maps"

// NotLabelled is a key that marks the labels of an item that labelled_when does not count as labelled: null labels of
// such an item have no value.
const NotLabelled = "_not_labelled"

// InvalidLabel returns the key that marks the label of a target as invalid, so that it is not taken for null.
func InvalidLabel(target string) string { return "_invalid_" + target }

// Value returns the target's value in an item's labels: the label, or, if a labelled item lacks it, the value that is
// configured as null. Scoring, export, gate, verification and counters all use this definition. It reports false if the
// item does not count for this target.
func (t Target) Value(labels map[string]string) (string, bool) {
	if v, ok := labels[t.Name]; ok {
		return v, true
	}
	if t.Null == "" {
		return "", false
	}
	if _, not := labels[NotLabelled]; not {
		return "", false
	}
	if _, bad := labels[InvalidLabel(t.Name)]; bad {
		return "", false
	}
	return t.NullValue(), true
}

// Values returns the values of all targets that have one.
func Values(targets []Target, labels map[string]string) map[string]string {
	same := len(labels) <= len(targets)
	for _, t := range targets {
		if _, ok := labels[t.Name]; !ok && t.Null != "" {
			same = false
		}
	}
	if _, not := labels[NotLabelled]; same && !not {
		return labels
	}
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	for _, t := range targets {
		if v, ok := t.Value(labels); ok {
			out[t.Name] = v
		}
		delete(out, InvalidLabel(t.Name))
	}
	delete(out, NotLabelled)
	return out
}
