package classifier

import (
	"cmp"
	"slices"
)

// Neighbours finds the texts that are nearest to a text by the cosine of their features. Safe for concurrent use.
type Neighbours struct {
	dense [][]float32
}

// NewNeighbours embeds texts as a training would: labels, one for each text, say which n-grams matter.
func NewNeighbours(texts []map[string]string, labels []string) *Neighbours {
	number := map[string]int{}
	examples, numbers := make([]Example, len(texts)), make([]int, len(texts))
	for i, label := range labels {
		if _, ok := number[label]; !ok {
			number[label] = len(number)
		}
		examples[i], numbers[i] = Example{Text: texts[i]}, number[label]
	}
	n := &Neighbours{dense: make([][]float32, len(texts))}
	if len(texts) == 0 || len(number) > maxCategories {
		return n
	}
	for i, row := range vectorize(examples, weigh(examples, numbers, len(number))) {
		n.dense[i] = make([]float32, dims)
		for j, d := range row.index {
			n.dense[i][d] = row.value[j]
		}
	}
	return n
}

// Nearest returns up to k other texts, the nearest first. A text without features has none.
func (n *Neighbours) Nearest(i, k int) []int {
	type near struct {
		i      int
		cosine float32
	}
	var best []near
	for j, other := range n.dense {
		if j == i || other == nil || n.dense[i] == nil {
			continue
		}
		var dot float32
		for d, x := range n.dense[i] {
			dot += x * other[d]
		}
		if dot <= 0 || len(best) == k && dot <= best[k-1].cosine {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, dot, func(b near, dot float32) int { return cmp.Compare(dot, b.cosine) })
		best = slices.Insert(best, at, near{j, dot})[:min(len(best)+1, k)]
	}
	out := make([]int, len(best))
	for i, b := range best {
		out[i] = b.i
	}
	return out
}
