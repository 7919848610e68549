package drift

import (
	"encoding/json"
	"slices"

	"github.com/retraind/retraind/serving"
)

// noValue marks a missing label or answer.
const noValue int32 = -1

// names assigns numbers to texts, so that an item stores four bytes instead of a string.
type names struct {
	list  []string
	index map[string]int32
}

func (n *names) number(s string) int32 {
	if i, ok := n.index[s]; ok {
		return i
	}
	if n.index == nil {
		n.index = map[string]int32{}
	}
	i := int32(len(n.list))
	n.list = append(n.list, s)
	n.index[s] = i
	return i
}

// confusion is the confusion matrix of one target with its marginals, updated one item at a time.
//
// A value is the label or answer of an item; a category is a row of the table. They are the same except for targets of
// kind set: there a value is a whole set, and its members are categories.
type confusion struct {
	target  serving.Target
	values  names
	members [][]int32 // by value number, sets only: its categories
	rows    names     // categories of sets; unused otherwise

	tallies []tally // by category
	pairs   map[[2]int32]int
	n       int
	correct int

	unfit  int32 // value number of serving.FormatError; noValue before one was seen
	unfitN int   // items with this answer: counted as wrong, but the answer counts for no category
}

func newConfusion(t serving.Target) *confusion {
	return &confusion{target: t, pairs: map[[2]int32]int{}, unfit: noValue}
}

// value returns the number of a label or answer in canonical form.
func (b *confusion) value(s string) int32 {
	v := b.values.number(s)
	if s == serving.FormatError {
		b.unfit = v
	}
	if b.target.Kind != serving.KindSet {
		for len(b.tallies) <= int(v) {
			b.tallies = append(b.tallies, tally{})
		}
		return v
	}
	if int(v) == len(b.members) {
		var list []string
		if v != b.unfit && json.Unmarshal([]byte(s), &list) != nil {
			list = []string{s} // not a set: treated as a category, so that it shows in the table
		}
		cats := make([]int32, 0, len(list))
		for _, c := range list {
			if i := b.rows.number(c); !slices.Contains(cats, i) {
				cats = append(cats, i)
			}
		}
		b.members = append(b.members, cats)
		for len(b.tallies) < len(b.rows.list) {
			b.tallies = append(b.tallies, tally{})
		}
	}
	return v
}

// label returns the number of an item's label. For a missing label it returns the target's null category, or noValue if
// there is none.
func (b *confusion) label(labels map[string]string) int32 {
	s, ok := b.target.Value(labels)
	if !ok {
		return noValue
	}
	return b.value(s)
}

// count adds (by = 1) or removes (by = -1) one item.
func (b *confusion) count(label, answer int32, by int) {
	b.n += by
	if label == answer {
		b.correct += by
	}
	pair := [2]int32{label, answer}
	if b.pairs[pair] += by; b.pairs[pair] == 0 {
		delete(b.pairs, pair)
	}
	if answer == b.unfit {
		b.unfitN += by
	}
	if b.target.Kind != serving.KindSet {
		b.tallies[label].support += by
		if answer != b.unfit {
			b.tallies[answer].predicted += by
		}
		if label == answer {
			b.tallies[label].correct += by
		}
		return
	}
	for _, c := range b.members[label] {
		b.tallies[c].support += by
		if slices.Contains(b.members[answer], c) {
			b.tallies[c].correct += by
		}
	}
	for _, c := range b.members[answer] {
		b.tallies[c].predicted += by
	}
}

func (b *confusion) scores() Scores {
	return scores(b.tallies, b.n, b.correct, b.target.Kind != serving.KindSet)
}

// categories lists the categories that occur, ordered by name.
func (b *confusion) categories() []Category {
	list := b.values.list
	if b.target.Kind == serving.KindSet {
		list = b.rows.list
	}
	out := make([]Category, 0, len(b.tallies))
	for i, t := range b.tallies {
		if t.support == 0 && t.predicted == 0 {
			continue
		}
		out = append(out, Category{
			Name: list[i], Support: t.support, Predicted: t.predicted, Correct: t.correct,
			Precision: t.precision(), Recall: t.recall(), F1: t.f1(),
		})
	}
	slices.SortFunc(out, func(a, b Category) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// category returns the number of the category with the given name.
func (b *confusion) category(name string) int32 {
	if b.target.Kind != serving.KindSet {
		return b.value(name)
	}
	c := b.rows.number(name)
	for len(b.tallies) < len(b.rows.list) {
		b.tallies = append(b.tallies, tally{})
	}
	return c
}

func (b *confusion) name(category int32) string {
	if b.target.Kind == serving.KindSet {
		return b.rows.list[category]
	}
	return b.values.list[category]
}

// Confused is one non-empty cell of a confusion matrix: the number of items with this label and this answer.
type Confused struct {
	Label  string `json:"label"`
	Answer string `json:"answer"`
	N      int    `json:"n"`
}

// Confusion lists the non-empty cells of a target's confusion matrix, ordered by label and answer. For sets, whole sets
// are compared. The second result is false for an unknown target.
func (m *Monitor) Confusion(target string) ([]Confused, bool) {
	for _, b := range m.confusions {
		if b.target.Name == target {
			return b.confusion(), true
		}
	}
	return nil, false
}

func (b *confusion) confusion() []Confused {
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
