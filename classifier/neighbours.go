package classifier

import (
	"cmp"
	"slices"
)

// Neighbours finds the nearest texts by the cosine of their features. Safe for concurrent use.
type Neighbours struct {
	rows  []vector
	texts [][]posting // by feature
}

// posting is one text that has a feature, with the feature's value.
type posting struct {
	text  int32
	value float32
}

// NewNeighbours indexes the texts.
func NewNeighbours(texts []map[string]string) *Neighbours {
	examples := make([]Example, len(texts))
	for i := range texts {
		examples[i].Text = texts[i]
	}
	words := newVocabulary(examples, 1)
	n := &Neighbours{rows: words.rows(examples), texts: make([][]posting, len(words.hashes))}
	for i, row := range n.rows {
		for j, d := range row.index {
			n.texts[d] = append(n.texts[d], posting{int32(i), row.value[j]})
		}
	}
	return n
}

// Nearest returns the indexes of up to k texts that are nearest to text i, the nearest first. It returns only texts
// that have a feature in common with text i.
func (n *Neighbours) Nearest(i, k int) []int {
	cosine := make([]float32, len(n.rows))
	for j, d := range n.rows[i].index {
		x := n.rows[i].value[j]
		for _, p := range n.texts[d] {
			cosine[p.text] += x * p.value
		}
	}
	var best []int
	for j, c := range cosine {
		if j == i || c <= 0 || len(best) == k && c <= cosine[best[k-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, func(b int, c float32) int { return cmp.Compare(c, cosine[b]) })
		best = slices.Insert(best, at, j)[:min(len(best)+1, k)]
	}
	return best
}
