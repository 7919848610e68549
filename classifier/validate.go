package classifier

import (
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	folds = 5
	// crossValidated is the number of examples up to which each of them is validated once; of more, one fold is enough.
	crossValidated = 2500
	// maxValidated bounds the validation part.
	maxValidated = 10_000
	// leastOwn is the size from which a validation part that comes with the data is taken for it.
	leastOwn = 500
	// leastValidated is the number of examples below which validation says nothing.
	leastValidated = 50
	// gain is the share by which a pass must lower the loss for another one to be made.
	gain = 0.005
	// unvalidatedPasses are made when there are too few examples to validate.
	unvalidatedPasses = 3
)

// Validation is what the validation part said about a target.
type Validation struct {
	Items       int     `json:"items"`
	Passes      int     `json:"passes"`         // after which the loss was lowest
	Loss        float64 `json:"loss"`           // mean cross-entropy in nats, before the temperature
	Accuracy    float64 `json:"accuracy"`       // on examples that were not learnt
	ECE         float64 `json:"ece"`            // expected calibration error with the temperature
	Uncorrected float64 `json:"ece_of_outputs"` // the same without it
	Temperature float64 `json:"temperature"`
}

// parts divides the labelled examples into what is learnt and what is validated, one pair a fold. Where the data has a
// validation part of its own of some size, that is taken.
func parts(labelled []int, own int, seed uint64) (learn, ask [][]int) {
	given := slices.IndexFunc(labelled, func(i int) bool { return i >= own })
	if given > 0 && len(labelled)-given >= leastOwn {
		return [][]int{labelled[:given]}, [][]int{labelled[given:][:min(len(labelled)-given, maxValidated)]}
	}
	if len(labelled) < leastValidated {
		return nil, nil
	}
	order := slices.Clone(labelled)
	rand.New(rand.NewPCG(seed, 0x666f6c64)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	size, times := len(order)/folds, 1
	if len(order) <= crossValidated {
		times = folds
	}
	size = min(size, maxValidated)
	for f := range times {
		from, to := f*size, (f+1)*size
		if times == folds && f == folds-1 {
			to = len(order)
		}
		ask = append(ask, slices.Sorted(slices.Values(order[from:to])))
		learn = append(learn, slices.Sorted(slices.Values(slices.Concat(order[:from], order[to:]))))
	}
	return learn, ask
}

// validate finds how many passes are best for a head, and its temperature, on examples that are not learnt.
func validate(head Head, features int, rows []vector, truths []truth, learn, ask [][]int, passes int, seed uint64, progress func(pass int, loss float64)) Validation {
	learners := make([]*learner, len(learn))
	for f := range learn {
		learners[f] = newLearner(head, features, rows, truths, learn[f], seed+uint64(f))
	}
	asked := slices.Concat(ask...)
	var asTruths []truth
	for _, i := range asked {
		asTruths = append(asTruths, truths[i])
	}
	var v Validation
	var best [][]float64
	for pass := 1; pass <= passes; pass++ {
		outputs := make([][][]float64, len(learn))
		var wg sync.WaitGroup
		for f, l := range learners {
			wg.Go(func() {
				l.pass()
				outputs[f] = l.ask(ask[f])
			})
		}
		wg.Wait()
		now := slices.Concat(outputs...)
		s := head.score(now, asTruths, 1)
		progress(pass, s.Loss)
		enough := v.Passes > 0 && s.Loss > v.Loss*(1-gain)
		if v.Passes == 0 || s.Loss < v.Loss {
			v, best = s, now
			v.Passes = pass
		}
		if enough {
			break
		}
	}
	t := head.temperature(best, asTruths)
	v.ECE, v.Temperature = head.score(best, asTruths, t).ECE, t
	return v
}

// ask returns the outputs for examples that were not learnt, each as that of a new text: what stands in none of the
// learnt examples would not be in the vocabulary.
func (l *learner) ask(examples []int) [][]float64 {
	outputs := make([][]float64, len(examples))
	for j, i := range examples {
		row := l.rows[i].without(func(d uint32) bool { return l.squares[d] == 0 })
		outputs[j] = make([]float64, len(l.head.Categories))
		l.head.outputs(&row, outputs[j])
	}
	return outputs
}

// score judges outputs at a temperature.
func (h Head) score(outputs [][]float64, truths []truth, temperature float64) Validation {
	h.Temperature = temperature
	v := Validation{Items: len(outputs)}
	var c Calibration
	z := make([]float64, len(h.Categories))
	for i, out := range outputs {
		copy(z, out)
		h.probabilities(z)
		v.Loss += h.loss(z, truths[i]) / float64(len(outputs))
		right := h.right(z, truths[i])
		if right {
			v.Accuracy += 1 / float64(len(outputs))
		}
		_, confidence := h.answer(z)
		c.Add(confidence, right)
	}
	v.ECE = c.Error()
	v.Uncorrected = v.ECE
	return v
}
