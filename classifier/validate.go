package classifier

import (
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	folds = 3
	// crossValidated is the maximum number of examples for which every example is used in cross-validation. With more
	// examples, only a tenth is used for validation.
	crossValidated = 2500
	// maxValidated limits the number of examples that are used for validation, and maxLearnt the number that are learnt
	// before validation. More examples would not change the chosen rate, passes and temperature, and with large data the
	// time is better spent on training the final model.
	maxValidated = 10_000
	maxLearnt    = 5_000
	// leastOwn is the minimum size of a validation part that comes with the data, and of one that is drawn from more than
	// crossValidated examples.
	leastOwn = 500
	// leastValidated is the number of examples below which there is no validation.
	leastValidated = 50
	// overconfident is the temperature above which a lower learning rate may be better.
	overconfident = 1.1
	// gain is the share by which a pass of the validation must lower the loss; otherwise it is the last pass.
	gain = 0.01
	// unvalidatedPasses is the maximum number of passes without validation, for example with too few examples.
	unvalidatedPasses = 3
)

// Validation is the result of validating a target.
type Validation struct {
	Items       int     `json:"items"`
	Passes      int     `json:"passes"`         // number of passes with the lowest loss
	Rate        float32 `json:"rate"`           // learning rate with the lowest loss
	Loss        float64 `json:"loss"`           // mean cross-entropy in nats
	Accuracy    float64 `json:"accuracy"`       // on examples that were not learnt
	ECE         float64 `json:"ece"`            // expected calibration error with the temperature
	Uncorrected float64 `json:"ece_of_outputs"` // the same without the temperature
	Temperature float64 `json:"temperature"`
}

// parts divides the labelled examples into training and validation, with one pair for each fold. The examples from
// index "own" on are the data's own validation part; if they are enough, only they are used for validation.
func parts(labelled []int, own int, seed uint64) (learn, ask [][]int) {
	if len(labelled) < leastValidated {
		return nil, nil
	}
	rng := rand.New(rand.NewPCG(seed, 0x666f6c64))
	draw := func(list []int, most int) []int {
		list = slices.Clone(list)
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:min(len(list), most)]
		slices.Sort(list)
		return list
	}
	given, _ := slices.BinarySearch(labelled, own)
	if given > 0 && len(labelled)-given >= leastOwn {
		return [][]int{draw(labelled[:given], maxLearnt)}, [][]int{draw(labelled[given:], maxValidated)}
	}
	order := slices.Clone(labelled)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	size, times := max(min(len(order)/10, maxValidated), leastOwn), 1
	if len(order) <= crossValidated {
		size, times = len(order)/folds, folds
	}
	for f := range times {
		from, to := f*size, (f+1)*size
		if times > 1 && f == times-1 {
			to = len(order)
		}
		learn = append(learn, draw(slices.Concat(order[:from], order[to:]), maxLearnt))
		ask = append(ask, draw(order[from:to], maxValidated))
	}
	return learn, ask
}

// validate chooses the learning rate, the number of passes and the temperature of a head, on examples that are not
// learnt. It tries a lower rate as soon as a pass has made the model overconfident.
func validate(head Head, features int, rows []vector, truths []truth, learn, ask [][]int, opts Options,
	progress func(loss float64),
) Validation {
	var asTruths []truth
	for _, i := range slices.Concat(ask...) {
		asTruths = append(asTruths, truths[i])
	}
	var best Validation
	rates := opts.rates()
	for _, rate := range rates {
		learners := make([]*learner, len(learn))
		for f := range learn {
			learners[f] = newLearner(head, features, rows, truths, learn[f], rate, opts.Seed+uint64(f))
		}
		hot, last := false, 0.0
		for pass := 1; pass <= opts.Epochs; pass++ {
			v := head.calibrated(passAndAsk(learners, ask), asTruths)
			v.Passes, v.Rate = pass, rate
			if best.Passes == 0 || v.Loss < best.Loss {
				best, hot = v, v.Temperature > overconfident
			}
			progress(v.Loss)
			if pass > 1 && v.Loss > last*(1-gain) || hot && rate != rates[len(rates)-1] {
				break
			}
			last = v.Loss
		}
		if !hot {
			break
		}
	}
	return best
}

// passAndAsk runs one pass of each fold, and returns the outputs for the validation examples of all folds.
func passAndAsk(learners []*learner, ask [][]int) [][]float64 {
	outputs := make([][][]float64, len(learners))
	var wg sync.WaitGroup
	for f, l := range learners {
		wg.Go(func() {
			l.pass()
			outputs[f] = l.ask(ask[f])
		})
	}
	wg.Wait()
	return slices.Concat(outputs...)
}

// calibrated scores outputs at the temperature that fits them best.
func (h Head) calibrated(outputs [][]float64, truths []truth) Validation {
	t := h.temperature(outputs, truths)
	v := h.score(outputs, truths, t)
	v.Temperature, v.Uncorrected = t, h.score(outputs, truths, 1).ECE
	return v
}

// ask returns the outputs for validation examples. It ignores features that occur in none of the learnt examples,
// because for new texts such features would not be in the vocabulary.
func (l *learner) ask(examples []int) [][]float64 {
	outputs := make([][]float64, len(examples))
	var row vector
	for j, i := range examples {
		l.rows[i].without(func(d uint32) bool { return l.squares[d] == 0 }, &row)
		outputs[j] = make([]float64, len(l.head.Categories))
		l.head.outputs(&row, outputs[j])
	}
	return outputs
}

// score scores outputs at a temperature.
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
	return v
}
