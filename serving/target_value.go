package serving

import "maps"

// NotLabelled marks, as a key of an item's labels, an item that labelled_when says is not labelled: its nulls stand for
// nothing.
const NotLabelled = "_not_labelled"

// Value is the target's value in an item's labels: the label, or what null stands for where the item is labelled. This is
// the only definition: scoring, export, gate, proof and counters use it. It reports false where the item does not count.
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
	return t.NullValue(), true
}

// Values are the values of all targets that have one.
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
	}
	delete(out, NotLabelled)
	return out
}
