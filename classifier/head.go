package classifier

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/retraind/retraind/serving"
)

// Head is the part of a model that answers one target. It never changes once trained or loaded.
type Head struct {
	Name string
	Kind serving.Kind
	// Categories are the possible answers, sorted; of a set its possible members.
	Categories []string
	// Temperature divides the outputs before they become probabilities, so that these mean what they say. 1 changes
	// nothing.
	Temperature float64

	weights matrix
	bias    []float32
}

// matrix holds a row of weights for each feature.
type matrix struct {
	exact []float32 // rows of width values; or else
	tiny  []int8    // rows of width values, to be multiplied by the row's scale
	scale []float32
}

// shrink rounds each row to 255 steps. That makes the file and the memory a quarter, and moves a probability by less
// than what another seed does.
func (m matrix) shrink(width int) matrix {
	out := matrix{tiny: make([]int8, len(m.exact)), scale: make([]float32, len(m.exact)/max(width, 1))}
	for r := range out.scale {
		row := m.exact[r*width : r*width+width]
		var top float32
		for _, x := range row {
			top = max(top, x, -x)
		}
		if top == 0 {
			continue
		}
		out.scale[r] = top / 127
		for c, x := range row {
			out.tiny[r*width+c] = int8(math.RoundToEven(float64(x / out.scale[r])))
		}
	}
	return out
}

// outputs fills z with one value per category.
func (h *Head) outputs(row *vector, z []float64) {
	var sums [maxCategories]float32
	k := len(h.bias)
	sum := sums[:k]
	values := row.value[:len(row.index)]
	for i, d := range row.index {
		if h.weights.exact != nil {
			x := values[i]
			w := h.weights.exact[int(d)*k:][:len(sum)]
			for c := range w {
				sum[c] += x * w[c]
			}
			continue
		}
		x := values[i] * h.weights.scale[d]
		w := h.weights.tiny[int(d)*k:][:len(sum)]
		for c := range w {
			sum[c] += x * float32(w[c])
		}
	}
	for c, b := range h.bias {
		z[c] = float64(sum[c] + b)
	}
}

// probabilities turns outputs into probabilities in place: of one category among all, or for a set of each member.
func (h *Head) probabilities(z []float64) {
	for c := range z {
		z[c] /= h.Temperature
	}
	if h.Kind == serving.KindSet {
		for c := range z {
			z[c] = sigmoid(z[c])
		}
		return
	}
	softmax(z)
}

// answer is the likeliest canonical value and its probability. That of a set takes its members as independent.
func (h *Head) answer(probs []float64) (string, float64) {
	if h.Kind != serving.KindSet {
		best := largest(probs)
		return h.Categories[best], probs[best]
	}
	var members []string
	confidence := 1.0
	for c, p := range probs {
		if p >= .5 {
			members = append(members, h.Categories[c])
		}
		confidence *= max(p, 1-p)
	}
	return serving.CanonicalSet(members), confidence
}

// loss is the cross-entropy of the probabilities in nats.
func (h *Head) loss(probs []float64, truth truth) float64 {
	if h.Kind != serving.KindSet {
		return -math.Log(max(probs[truth[0]], 1e-300))
	}
	var sum float64
	for c, p := range probs {
		if !slices.Contains(truth, c) {
			p = 1 - p
		}
		sum -= math.Log(max(p, 1e-300))
	}
	return sum
}

// truth is the numbers of an example's categories: one, or for a set any number. nil is no label.
type truth []int

// truthOf reads an example's label. A category that is not known is left out of a set, and otherwise no label.
func (h *Head) truthOf(label string) truth {
	if label == "" {
		return nil
	}
	members := []string{label}
	if h.Kind == serving.KindSet {
		members = membersOf(label)
	}
	out := truth{}
	for _, m := range members {
		if i, ok := slices.BinarySearch(h.Categories, m); ok {
			out = append(out, i)
		}
	}
	if h.Kind != serving.KindSet && len(out) == 0 {
		return nil
	}
	return out
}

// membersOf reads a canonical set; a text that is none is a set of one.
func membersOf(label string) []string {
	var members []string
	if json.Unmarshal([]byte(label), &members) != nil {
		return []string{label}
	}
	return members
}

// softmax turns outputs into probabilities in place.
func softmax(z []float64) {
	top, sum := z[largest(z)], 0.0
	for c := range z {
		z[c] = math.Exp(z[c] - top)
		sum += z[c]
	}
	for c := range z {
		z[c] /= sum
	}
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

// largest is the place of the largest value; the first one where two are equal.
func largest(z []float64) int {
	best := 0
	for c := range z {
		if z[c] > z[best] {
			best = c
		}
	}
	return best
}
