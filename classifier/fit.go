package classifier

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/retraind/retraind/serving"
)

const (
	// biasRate reduces the learning rate of the bias, because every example changes the bias.
	biasRate = 0.1
	// learnt is the squared length of a gradient below which an example is skipped.
	learnt = 1e-4
)

// Learning rates. On German news, app descriptions and package descriptions, 0.5 has the lowest held-out loss after two
// or three passes. If some labels are wrong, a lower rate overfits less. Embeddings need a lower rate because every
// feature occurs in every text.
var (
	sparseRates = []float32{0.5, 0.15}
	denseRates  = []float32{0.1, 0.02}
)

// learner trains one head by stochastic gradient descent on the cross-entropy, one example at a time. Each feature has
// a learning rate that falls with the feature's past gradients (AdaGrad, Duchi, Hazan and Singer 2011), so that an
// example changes the weights of a rare n-gram more than those of a frequent one. Each learner runs in one goroutine,
// so that the order of additions is fixed.
type learner struct {
	head    *Head
	rows    []vector
	truths  []truth
	order   []int // training examples
	rate    float32
	rng     *rand.Rand
	squares []float32 // by feature, sum of squared gradients
	bias    float64   // the same for the bias
}

// newLearner returns a learner whose weights are all zero.
func newLearner(head Head, features int, rows []vector, truths []truth, order []int, rate float32,
	seed uint64,
) *learner {
	k := len(head.Categories)
	head.Temperature = 1
	head.weights, head.bias = matrix{exact: make([]float32, features*k)}, make([]float32, k)
	return &learner{
		head: &head, rows: rows, truths: truths, order: slices.Clone(order), rate: rate,
		rng: rand.New(rand.NewPCG(seed, 0x72657472)), squares: make([]float32, features),
	}
}

// pass learns from each example once. It returns the mean loss and the share of right answers, both measured on each
// example before learning from it.
func (l *learner) pass() (loss, right float64) {
	l.rng.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	k := len(l.head.Categories)
	p, g := make([]float64, k), make([]float32, k)
	for _, i := range l.order {
		row, truth := &l.rows[i], l.truths[i]
		l.head.outputs(row, p)
		l.head.probabilities(p)
		loss += l.head.loss(p, truth)
		if l.head.right(p, truth) {
			right++
		}
		for _, c := range truth {
			p[c]-- // p is now the gradient of the outputs
		}
		var square float64
		for c := range p {
			g[c] = float32(p[c])
			square += p[c] * p[c]
		}
		l.step(row, g, square)
	}
	n := float64(max(len(l.order), 1))
	return loss / n, right / n
}

// step applies the gradient of one example.
func (l *learner) step(row *vector, g []float32, square float64) {
	if square < learnt {
		return
	}
	l.bias += square
	rate := float32(biasRate * float64(l.rate) / math.Sqrt(l.bias))
	for c := range g {
		l.head.bias[c] -= rate * g[c]
	}
	k := len(g)
	for j, d := range row.index {
		x := row.value[j]
		l.squares[d] += x * x * float32(square)
		rate := x * l.rate / float32(math.Sqrt(float64(l.squares[d])+1e-10))
		w := l.head.weights.exact[int(d)*k:][:len(g)]
		for c := range w {
			w[c] -= rate * g[c]
		}
	}
}

// right reports whether the likeliest answer equals the label.
func (h *Head) right(probs []float64, truth truth) bool {
	if h.Kind != serving.KindSet {
		return largest(probs) == truth[0]
	}
	for c, p := range probs {
		if (p >= .5) != slices.Contains(truth, c) {
			return false
		}
	}
	return true
}
