package classifier

import (
	"math"
	"sync"
)

// Model is a trained classifier. It never changes: any number of goroutines may predict with it.
type Model struct {
	Categories []string // sorted
	Seed       uint64
	Examples   int // number of training examples
	Dims       int // features

	gramWeights []float32 // by bucket of n-grams; 0 = not used
	weights     []float32 // dims rows of len(Categories)
	bias        []float32

	scratch sync.Pool // of *scratch
}

// scratch is what one prediction needs.
type scratch struct {
	vectorizer *vectorizer
	row        vector
	probs      []float64
}

func (m *Model) borrow() *scratch {
	if s, ok := m.scratch.Get().(*scratch); ok {
		return s
	}
	return &scratch{vectorizer: newVectorizer(m.gramWeights), probs: make([]float64, len(m.Categories))}
}

// Classify returns the likeliest category and its probability.
func (m *Model) Classify(fields map[string]string) (label string, confidence float64) {
	s := m.borrow()
	defer m.scratch.Put(s)
	best := m.predict(s, textOf(fields))
	return m.Categories[best], s.probs[best]
}

// Predict is Classify with the probabilities of all categories, in the order of Categories; they add up to 1.
func (m *Model) Predict(fields map[string]string) (label string, confidence float64, probs []float64) {
	s := m.borrow()
	defer m.scratch.Put(s)
	best := m.predict(s, textOf(fields))
	return m.Categories[best], s.probs[best], append([]float64(nil), s.probs...)
}

func (m *Model) predict(s *scratch, text string) int {
	s.vectorizer.fold(text, &s.row)
	logits(m.weights, m.bias, &s.row, s.probs)
	return softmax(s.probs)
}

// logits fills out with one value per category.
func logits(weights, bias []float32, row *vector, out []float64) {
	k := len(out)
	for c := range out {
		out[c] = float64(bias[c])
	}
	for i, d := range row.index {
		x := float64(row.value[i])
		w := weights[int(d)*k : int(d)*k+k]
		for c := range out {
			out[c] += x * float64(w[c])
		}
	}
}

// softmax turns logits into probabilities in place and returns the largest; the first one where two are equal.
func softmax(z []float64) int {
	best := 0
	for c := range z {
		if z[c] > z[best] {
			best = c
		}
	}
	top, sum := z[best], 0.0
	for c := range z {
		z[c] = math.Exp(z[c] - top)
		sum += z[c]
	}
	for c := range z {
		z[c] /= sum
	}
	return best
}
