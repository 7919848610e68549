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
	// Categories are the possible answers, sorted; for a set its possible members.
	Categories []string
	// Temperature divides the outputs before they become probabilities, to calibrate them. 1 has no effect.
	Temperature float64

	weights matrix
	bias    []float32
}

// matrix contains one row of weights for each feature.
type matrix struct {
	exact []float32 // rows of width values; nil if tiny is set
	tiny  []int8    // rows of width values, to be multiplied by the row's scale
	scale []float32
}

// shrink rounds each row to 255 steps. That divides the sizes in file and memory by four, and changes a probability
// less than training with another seed does.
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

// outputs computes one output per category and writes it to z.
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

// probabilities converts outputs to probabilities in place: a distribution over all categories or, for a set, one
// probability for each member.
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

// answer returns the likeliest canonical value and its probability. The members of a set are assumed to be independent.
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

// loss returns the cross-entropy of the probabilities in nats.
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

// truth contains the indexes of an example's categories: one or, for a set, any number. nil means no label.
type truth []int

// truthOf converts an example's label. An unknown category is left out of a set; for other targets the result is nil.
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

// membersOf returns the members of a canonical set. Any other text is treated as a set with one member.
func membersOf(label string) []string {
	var members []string
	if json.Unmarshal([]byte(label), &members) != nil {
		return []string{label}
	}
	return members
}

// softmax converts outputs to probabilities in place.
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

// largest returns the index of the largest value, the first if several are equal.
func largest(z []float64) int {
	best := 0
	for c := range z {
		if z[c] > z[best] {
			best = c
		}
	}
	return best
}
