package classifier

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/retraind/retraind/serving"
)

// maxCategories limits the outputs of a target.
const maxCategories = 512

// Options are the options of Train. The zero value means the defaults.
type Options struct {
	Seed   uint64
	Epochs int    // maximum number of passes over the examples; default 8
	Target string // the deciding target; default "label"
	// Kinds maps each target to its kind. All targets in it are learnt, in addition to Target; those that cannot be
	// learnt are listed in Metrics.Skipped. An empty kind is serving.KindLabel.
	Kinds map[string]serving.Kind

	// Embeddings, if set, replace n-grams as features.
	Embeddings *Embeddings

	own   int  // index of the first example of the data's own validation part; 0 = none
	quick bool // no validation: train for unvalidatedPasses, with temperature 1
}

func (o Options) withDefaults() Options {
	if o.Epochs <= 0 {
		o.Epochs = 8
	}
	if o.Target == "" {
		o.Target = "label"
	}
	return o
}

// rates returns the learning rates from which the validation chooses.
func (o Options) rates() []float32 {
	if o.Embeddings != nil {
		return denseRates
	}
	return sparseRates
}

// targets lists the targets to learn, the deciding one first.
func (o Options) targets() []string {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(o.Kinds)), func(name string) bool { return name == o.Target })
	return append([]string{o.Target}, others...)
}

// Progress reports how far Train has got.
type Progress struct {
	Phase  string  // "vectorize", "validate", "train"
	Epoch  int     // passes done, over all targets
	Epochs int     // passes in total; decreases when fewer are needed
	Loss   float64 // mean cross-entropy in nats of the validation part, or of the pass
}

// Train trains a model. The same examples in the same order with the same options, and the same vectors from an
// embedding service, give exactly the same model, on any number of cores of the same kind.
func Train(examples []Example, opts Options, progress func(Progress)) (*Model, Metrics, error) {
	opts = opts.withDefaults()
	if progress == nil {
		progress = func(Progress) {}
	}
	if len(examples) == 0 {
		return nil, Metrics{}, fmt.Errorf("train: there are no examples; is the export empty?")
	}
	metrics := Metrics{Others: map[string]TargetMetrics{}, Skipped: map[string]string{}}
	m := &Model{Seed: opts.Seed, Examples: len(examples)}
	outputs, widest := 0, 0
	for i, name := range opts.targets() {
		head, t, err := newHead(examples, name, opts.Kinds[name], i == 0)
		if err != nil && i == 0 {
			return nil, Metrics{}, fmt.Errorf("train: %w", err)
		}
		if err != nil {
			metrics.Skipped[name] = err.Error()
			continue
		}
		m.Heads = append(m.Heads, head)
		metrics.set(i == 0, name, t)
		outputs, widest = outputs+len(head.Categories), max(widest, len(head.Categories))
	}
	p := passes{all: (len(opts.rates()) + 1) * opts.Epochs * len(m.Heads), report: progress}
	p.say("vectorize", 0)
	rows, features, err := m.read(examples, outputs, opts)
	if err != nil {
		return nil, Metrics{}, fmt.Errorf("train: %w", err)
	}
	entries := 0
	for _, r := range rows {
		entries += len(r.index)
	}
	for i, h := range m.Heads {
		t := metrics.of(i == 0, h.Name)
		h.learn(features, rows, examples, opts, &t, &p)
		metrics.set(i == 0, h.Name, t)
	}
	metrics.Features, metrics.ModelBytes = features, m.size()
	metrics.TrainingBytes = trainingBytes(entries, features, widest)
	return m, metrics, nil
}

// read converts the texts to features, using a new vocabulary or an embedding service.
func (m *Model) read(examples []Example, outputs int, opts Options) (rows []vector, features int, err error) {
	if opts.Embeddings == nil {
		words := newVocabulary(examples, outputs)
		m.features = words
		return words.rows(examples), len(words.hashes), nil
	}
	texts := make([]map[string]string, len(examples))
	for i := range examples {
		texts[i] = examples[i].Text
	}
	m.embeddings = opts.Embeddings
	if rows, err = m.embeddings.rows(context.Background(), texts); err != nil {
		return nil, 0, err
	}
	return rows, len(rows[0].index), nil
}

// newHead returns an untrained head with the categories of a target that occur in the examples. If `first` is true, the
// target is the deciding one, and all examples must have a label of it.
func newHead(examples []Example, name string, kind serving.Kind, first bool) (*Head, TargetMetrics, error) {
	if kind == "" {
		kind = serving.KindLabel
	}
	t := TargetMetrics{Kind: kind, Categories: map[string]int{}}
	for i := range examples {
		label := examples[i].Labels[name]
		if label == "" {
			if first {
				return nil, t, fmt.Errorf("item %q has no label of target %q", examples[i].ID, name)
			}
			continue
		}
		t.Examples++
		members := []string{label}
		if kind == serving.KindSet {
			members = membersOf(label)
		}
		for _, m := range members {
			t.Categories[m]++
		}
	}
	categories := slices.Sorted(maps.Keys(t.Categories))
	if len(categories) > maxCategories {
		return nil, t, fmt.Errorf("%d categories are more than the maximum of %d; are the labels of %q really categories?",
			len(categories), maxCategories, name)
	}
	if kind == serving.KindSet && len(categories) == 0 {
		return nil, t, fmt.Errorf("all %d examples of %q are empty sets: there is nothing to learn", t.Examples, name)
	}
	if kind != serving.KindSet && len(categories) == 0 {
		return nil, t, fmt.Errorf("no example has a label of target %q; a classifier needs at least two categories", name)
	}
	if kind != serving.KindSet && len(categories) == 1 {
		return nil, t, fmt.Errorf("all %d examples have the label %q; a classifier needs at least two categories",
			t.Examples, categories[0])
	}
	return &Head{Name: name, Kind: kind, Categories: categories, Temperature: 1}, t, nil
}

// learn validates the head and then trains it on all examples that have a label.
func (h *Head) learn(features int, rows []vector, examples []Example, opts Options, t *TargetMetrics, p *passes) {
	truths := make([]truth, len(examples))
	var labelled []int
	for i := range examples {
		if truths[i] = h.truthOf(examples[i].Labels[h.Name]); truths[i] != nil {
			labelled = append(labelled, i)
		}
	}
	t.Epochs, t.Validation.Rate, t.Validation.Temperature = min(opts.Epochs, unvalidatedPasses), opts.rates()[0], 1
	if learn, ask := parts(labelled, opts.own, opts.Seed); len(learn) > 0 && !opts.quick {
		t.Validation = validate(*h, features, rows, truths, learn, ask, opts, func(loss float64) { p.done("validate", loss) })
		t.Epochs = t.Validation.Passes
	}
	p.next(len(opts.rates())*opts.Epochs, opts.Epochs-t.Epochs)
	l := newLearner(*h, features, rows, truths, labelled, t.Validation.Rate, opts.Seed)
	for range t.Epochs {
		t.Loss, t.Fit = l.pass()
		p.done("train", t.Loss)
	}
	h.bias, h.Temperature = l.head.bias, t.Validation.Temperature
	h.weights = l.head.weights.shrink(len(h.Categories))
}

// passes counts the passes over the examples for Progress.
type passes struct {
	report     func(Progress)
	made, all  int
	validation int // passes made in the present validation
}

func (p *passes) say(phase string, loss float64) {
	p.report(Progress{Phase: phase, Epoch: p.made, Epochs: p.all, Loss: loss})
}

func (p *passes) done(phase string, loss float64) {
	p.made++
	if phase == "validate" {
		p.validation++
	}
	p.say(phase, loss)
}

// next subtracts from the total the passes that a head's validation and training did not need.
func (p *passes) next(validation, spared int) {
	p.all -= validation - p.validation + spared
	p.validation = 0
}

// eachInParallel divides [0, n) into one range for each core, and runs work on all ranges in parallel.
func eachInParallel(n int, work func(from, to int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { work(n*w/workers, n*(w+1)/workers) })
	}
	wg.Wait()
}
