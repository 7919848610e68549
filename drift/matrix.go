package drift

import "slices"

// Confused is one cell of a confusion matrix that is not empty: so many items carry the label and were answered so.
type Confused struct {
	Label  string `json:"label"`
	Answer string `json:"answer"`
	N      int    `json:"n"`
}

// Confusion lists the cells of a target's confusion matrix that are not empty, by label and answer; for sets the whole
// sets are what is confused. It is false for a target that is not judged.
func (m *Monitor) Confusion(target string) ([]Confused, bool) {
	for _, b := range m.boards {
		if b.target.Name == target {
			return b.confusion(), true
		}
	}
	return nil, false
}

func (b *board) confusion() []Confused {
	out := make([]Confused, 0, len(b.pairs))
	for pair, n := range b.pairs {
		out = append(out, Confused{b.values.list[pair[0]], b.values.list[pair[1]], n})
	}
	slices.SortFunc(out, func(x, y Confused) int {
		switch {
		case x.Label < y.Label, x.Label == y.Label && x.Answer < y.Answer:
			return -1
		}
		return 1
	})
	return out
}
