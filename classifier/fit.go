package classifier

import (
	"math"
	"math/rand/v2"
)

const (
	learningRate = 1.0  // at the start; it falls to 0 in a straight line
	biasRate     = 0.1  // of the learning rate: the bias is in every example
	decay        = 1e-5 // shrinking of the weights for each example seen, applied once a pass
	maxDecay     = 0.15 // at most, a pass
)

// fit is stochastic gradient descent on the softmax cross-entropy, one example at a time; the result is the mean of the
// weights after each pass of the second half. One goroutine, so that the order of additions never changes.
func (m *Model) fit(rows []vector, labels []int, opts Options, progress func(Progress)) (loss float64, right int) {
	k := len(m.Categories)
	weights, bias := make([]float32, dims*k), make([]float32, k)
	sumWeights, sumBias := make([]float64, dims*k), make([]float64, k)
	passes := 0

	rng := rand.New(rand.NewPCG(opts.Seed, 0x72657472))
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	shrinkBy := float32(1 - min(decay*float64(len(rows)), maxDecay))
	p := make([]float64, k)
	step, steps := 0, float64(opts.Epochs*len(rows))
	for epoch := range opts.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		loss, right = 0, 0
		for _, i := range order {
			rate := learningRate * (1 - float64(step)/steps)
			step++
			row, label := &rows[i], labels[i]
			logits(weights, bias, row, p)
			if softmax(p) == label {
				right++
			}
			loss -= math.Log(max(p[label], 1e-300))
			p[label]-- // now the gradient of the logits
			for c := range p {
				bias[c] -= float32(rate * biasRate * p[c])
			}
			for j, d := range row.index {
				x := rate * float64(row.value[j])
				w := weights[int(d)*k : int(d)*k+k]
				for c := range p {
					w[c] -= float32(x * p[c])
				}
			}
		}
		for j := range weights {
			weights[j] *= shrinkBy
		}
		if epoch >= opts.Epochs/2 {
			passes++
			for j, w := range weights {
				sumWeights[j] += float64(w)
			}
			for j, b := range bias {
				sumBias[j] += float64(b)
			}
		}
		loss /= float64(len(rows))
		progress(Progress{Phase: "train", Epoch: epoch + 1, Epochs: opts.Epochs, Loss: loss})
	}
	for j := range weights {
		weights[j] = float32(sumWeights[j] / float64(passes))
	}
	for j := range bias {
		bias[j] = float32(sumBias[j] / float64(passes))
	}
	m.weights, m.bias = weights, bias
	return loss, right
}
