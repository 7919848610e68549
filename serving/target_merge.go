package serving

import "maps"

// MergeRow returns the labels of an item after its row in the table was read. For each target it takes the table's
// label if that has changed since the row was last read. Otherwise it keeps the item's present label, which an event
// may have set. `before` are the row's labels at the last read, and `table` its labels now, in canonical form.
func MergeRow(targets []Target, present, before, table map[string]string) map[string]string {
	before, _ = CanonicalLabels(targets, before) // the targets may have changed since; invalid labels were logged
	out := make(map[string]string, len(targets))
	copyKey(out, table, NotLabelled)
	for _, t := range targets {
		from := table
		if t.sameLabel(before, table) {
			from = present
		}
		copyKey(out, from, t.Name)
		copyKey(out, from, InvalidLabel(t.Name))
	}
	return out
}

// sameLabel reports whether the target has the same label, or the same mark instead of one, in both.
func (t Target) sameLabel(a, b map[string]string) bool {
	return sameKey(a, b, t.Name) && sameKey(a, b, InvalidLabel(t.Name)) && (t.Null == "" || sameKey(a, b, NotLabelled))
}

func sameKey(a, b map[string]string, key string) bool {
	x, in := a[key]
	y, also := b[key]
	return in == also && x == y
}

func copyKey(to, from map[string]string, key string) {
	if v, ok := from[key]; ok {
		to[key] = v
	}
}

// RelabelItem returns the labels of an item to which an event gave labels, in canonical form. Like CanonicalLabels it
// returns an error that names the first invalid label. It differs for a row that labelled_when excludes: the labels
// from events count, and the mark stays, because a null in this row still has no value.
func RelabelItem(targets []Target, labels map[string]string) (map[string]string, error) {
	if _, not := labels[NotLabelled]; !not {
		return CanonicalLabels(targets, labels)
	}
	said := maps.Clone(labels)
	delete(said, NotLabelled)
	out, err := CanonicalLabels(targets, said)
	out[NotLabelled] = ""
	return out, err
}
