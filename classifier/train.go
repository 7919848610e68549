package classifier

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// maxCategories bounds the memory of a training: 2^17 counters of four bytes a category.
const maxCategories = 512

// Options of a training. The zero value means the defaults.
type Options struct {
	Seed   uint64
	Epochs int    // passes over the examples; default 30
	Target string // the label that is learnt; default label
}

func (o Options) withDefaults() Options {
	if o.Epochs <= 0 {
		o.Epochs = 30
	}
	if o.Target == "" {
		o.Target = "label"
	}
	return o
}

// Progress is how far a training is.
type Progress struct {
	Phase  string  // "vectorize", "train"
	Epoch  int     // passes done
	Epochs int     // passes in all
	Loss   float64 // mean cross-entropy of the pass, in nats
}

// Metrics say what a training did; counts first.
type Metrics struct {
	Examples   int            `json:"examples"`
	Categories map[string]int `json:"categories"` // training examples by label
	Epochs     int            `json:"epochs"`
	Loss       float64        `json:"loss"`           // of the last pass
	Fit        float64        `json:"train_accuracy"` // accuracy on the training examples while learning them
	TestItems  int            `json:"test_items"`
	TestRight  int            `json:"test_correct"`
	Accuracy   float64        `json:"accuracy"` // on the test examples; 0 without any
	MacroF1    float64        `json:"macro_f1"`
}

// Train learns a model. The same examples in the same order with the same options give the same model, bit by bit, on
// any number of cores.
func Train(examples []Example, opts Options, progress func(Progress)) (*Model, Metrics, error) {
	opts = opts.withDefaults()
	if progress == nil {
		progress = func(Progress) {}
	}
	counts := map[string]int{}
	for i := range examples {
		label := examples[i].Labels[opts.Target]
		if label == "" {
			return nil, Metrics{}, fmt.Errorf("train: item %q has no label %q", examples[i].ID, opts.Target)
		}
		counts[label]++
	}
	categories := make([]string, 0, len(counts))
	for label := range counts {
		categories = append(categories, label)
	}
	slices.Sort(categories)
	switch len(categories) {
	case 0:
		return nil, Metrics{}, fmt.Errorf("train: there are no examples; is the export empty?")
	case 1:
		return nil, Metrics{}, fmt.Errorf("train: all %d examples are %q; a classifier needs at least two categories", len(examples), categories[0])
	}
	if len(categories) > maxCategories {
		return nil, Metrics{}, fmt.Errorf("train: %d categories are more than the %d that are possible; is %q really a category?",
			len(categories), maxCategories, opts.Target)
	}
	number := make(map[string]int, len(categories))
	for i, c := range categories {
		number[c] = i
	}
	labels := make([]int, len(examples))
	for i := range examples {
		labels[i] = number[examples[i].Labels[opts.Target]]
	}

	progress(Progress{Phase: "vectorize", Epochs: opts.Epochs})
	m := &Model{Categories: categories, Seed: opts.Seed, Examples: len(examples), Dims: dims}
	m.gramWeights = weigh(examples, labels, len(categories))
	rows := vectorize(examples, m.gramWeights)
	loss, right := m.fit(rows, labels, opts, progress)
	return m, Metrics{
		Examples: len(examples), Categories: counts, Epochs: opts.Epochs, Loss: loss,
		Fit: float64(right) / float64(len(examples)),
	}, nil
}

// eachInParallel runs work over [0, n) in as many stretches as there are cores.
func eachInParallel(n int, work func(from, to int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { work(n*w/workers, n*(w+1)/workers) })
	}
	wg.Wait()
}
