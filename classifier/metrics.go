package classifier

import (
	"maps"
	"slices"

	"github.com/retraind/retraind/serving"
)

// TargetMetrics are the results of training one target.
type TargetMetrics struct {
	Kind       serving.Kind   `json:"kind"`
	Examples   int            `json:"examples"`
	Categories map[string]int `json:"categories"` // training examples by label, or by member of a set
	Epochs     int            `json:"epochs"`     // passes over the examples
	Loss       float64        `json:"loss"`       // of the last pass
	Fit        float64        `json:"train_accuracy"`
	Validation Validation     `json:"validation"`
	TestItems  int            `json:"test_items"`
	TestRight  int            `json:"test_correct"`
	Accuracy   float64        `json:"accuracy"` // on the test examples; 0 without any
	MacroF1    float64        `json:"macro_f1"`
	ECE        float64        `json:"ece"` // expected calibration error on the test examples
}

// Metrics are the results of training a model. The embedded TargetMetrics are those of the deciding target.
type Metrics struct {
	TargetMetrics
	Features      int                      `json:"features"`
	ModelBytes    int                      `json:"model_bytes"`    // of the file
	TrainingBytes int                      `json:"training_bytes"` // maximum for rows and weights, without the texts
	Others        map[string]TargetMetrics `json:"other_targets,omitempty"`
	Skipped       map[string]string        `json:"skipped_targets,omitempty"` // with the reason
}

func (m *Metrics) of(first bool, name string) TargetMetrics {
	if first {
		return m.TargetMetrics
	}
	return m.Others[name]
}

func (m *Metrics) set(first bool, name string, t TargetMetrics) {
	if first {
		m.TargetMetrics = t
	} else {
		m.Others[name] = t
	}
}

// trainingBytes returns the memory that training needs for the rows, the weights of all folds, and the counters of a
// vocabulary.
func trainingBytes(entries, features, widest int) int {
	return 8*entries + (folds+1)*features*4*(widest+1) + 4<<bucketBits
}

// tally counts how a model's answers for one target compare with the labels of the test examples.
type tally struct {
	kind                      serving.Kind
	items, exact              int
	support, predicted, right map[string]int
	calibration               Calibration
}

func newTally(kind serving.Kind) *tally {
	return &tally{kind: kind, support: map[string]int{}, predicted: map[string]int{}, right: map[string]int{}}
}

func (t *tally) add(answer Answered, truth string) {
	t.items++
	t.calibration.Add(answer.Confidence, answer.Value == truth)
	if answer.Value == truth {
		t.exact++
	}
	is, said := []string{truth}, []string{answer.Value}
	if t.kind == serving.KindSet {
		is, said = membersOf(truth), membersOf(answer.Value)
	}
	for _, c := range is {
		t.support[c]++
	}
	for _, c := range said {
		t.predicted[c]++
		if slices.Contains(is, c) {
			t.right[c]++
		}
	}
}

func (t *tally) fill(m *TargetMetrics) {
	m.TestItems, m.TestRight = t.items, t.exact
	if t.items > 0 {
		m.Accuracy = float64(t.exact) / float64(t.items)
		m.MacroF1, m.ECE = t.macroF1(), t.calibration.Error()
	}
}

// macroF1 returns the mean F1 of the categories that occur as label or as prediction.
func (t *tally) macroF1() float64 {
	all := maps.Clone(t.support)
	maps.Copy(all, t.predicted)
	var sum float64
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum += 2 * float64(t.right[name]) / float64(t.support[name]+t.predicted[name])
	}
	return sum / float64(max(len(all), 1))
}
