package classifier

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/retraind/retraind/serving"
)

// Model is a trained classifier. It never changes, so any number of goroutines may use it.
type Model struct {
	Heads    []*Head // the first one answers the deciding target
	Seed     uint64
	Examples int // number of training examples

	features   featureMap
	embeddings *Embeddings // instead of features
	scratch    sync.Pool   // of *scratch
}

// featureMap converts a text to features.
type featureMap interface {
	row(v *gramReader, text string, out *vector)
}

// scratch contains the buffers that one prediction needs.
type scratch struct {
	reader gramReader
	row    vector
	probs  []float64
}

// Answered is the answer for one target.
type Answered struct {
	Value      string  // canonical
	Confidence float64 // probability that the value is right
}

// Categories returns the possible answers of the first target, sorted.
func (m *Model) Categories() []string { return m.Heads[0].Categories }

func (m *Model) targets() []string {
	names := make([]string, len(m.Heads))
	for i, h := range m.Heads {
		names[i] = h.Name
	}
	return names
}

// Classify returns the likeliest answer for the first target and its probability. For a model that uses embeddings,
// call AnswerAll instead.
func (m *Model) Classify(fields map[string]string) (label string, confidence float64) {
	m.with(textOf(fields), func(s *scratch) { label, confidence = m.Heads[0].answer(m.Heads[0].ask(s)) })
	return label, confidence
}

// Predict returns the result of Classify and the probabilities of all categories, in the order of Categories.
func (m *Model) Predict(fields map[string]string) (label string, confidence float64, probs []float64) {
	m.with(textOf(fields), func(s *scratch) {
		probs = slices.Clone(m.Heads[0].ask(s))
		label, confidence = m.Heads[0].answer(probs)
	})
	return label, confidence, probs
}

// Answer returns the answers for all targets, in the order of Heads.
func (m *Model) Answer(fields map[string]string) []Answered {
	out := make([]Answered, len(m.Heads))
	m.with(textOf(fields), func(s *scratch) {
		for i, h := range m.Heads {
			out[i].Value, out[i].Confidence = h.answer(h.ask(s))
		}
	})
	return out
}

// Answers returns the values in a result of Answer, keyed by target.
func (m *Model) Answers(list []Answered) serving.Answers {
	out := make(serving.Answers, len(list))
	for i, a := range list {
		out[m.Heads[i].Name] = a.Value
	}
	return out
}

// AnswerAll returns the answers for each of the texts. It returns an error if ctx ends or, for a model that uses
// embeddings, if the embedding service fails.
func (m *Model) AnswerAll(ctx context.Context, texts []map[string]string) ([][]Answered, error) {
	out := make([][]Answered, len(texts))
	if m.embeddings == nil {
		for i, fields := range texts {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			out[i] = m.Answer(fields)
		}
		return out, nil
	}
	rows, err := m.embeddings.rows(ctx, texts)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		s := &scratch{row: row}
		for _, h := range m.Heads {
			if len(row.index) != len(h.weights.scale) {
				return nil, fmt.Errorf("%w from %s: an embedding has %d numbers, but the model was trained with %d; train again", ErrEmbeddings,
					m.embeddings.shown(), len(row.index), len(h.weights.scale))
			}
			value, confidence := h.answer(h.ask(s))
			out[i] = append(out[i], Answered{value, confidence})
		}
	}
	return out, nil
}

// with calls `use` with the features of a text. For a model that uses embeddings, the features are empty.
func (m *Model) with(text string, use func(*scratch)) {
	s, ok := m.scratch.Get().(*scratch)
	if !ok {
		s = &scratch{}
	}
	defer m.scratch.Put(s)
	s.row.index, s.row.value = s.row.index[:0], s.row.value[:0]
	if m.features != nil {
		m.features.row(&s.reader, text, &s.row)
	}
	use(s)
}

// ask returns the head's probabilities for the features in s. They are valid until the next call with s.
func (h *Head) ask(s *scratch) []float64 {
	s.probs = slices.Grow(s.probs[:0], len(h.Categories))[:len(h.Categories)]
	h.outputs(&s.row, s.probs)
	h.probabilities(s.probs)
	return s.probs
}
