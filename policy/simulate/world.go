// Package simulate feeds simulated label streams, whose true accuracy is known, to the code that decides about real
// ones.
//
// It owns the generation of streams: a held-out set, labels that arrive, corrections, and a model that becomes worse
// at a known time. Every figure and every verdict comes from drift and policy themselves. A Stream belongs to one
// goroutine. It never reads a clock: time is that of the stream, and the same seed gives the same stream each time.
package simulate

import (
	"math/rand/v2"
	"strconv"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
)

// World defines how streams are generated.
type World struct {
	// Accuracy of the model at its promotion, a fraction.
	Accuracy float64
	// Items is the size of the held-out set at the promotion.
	Items int
	// PerDay is how many held-out labels arrive a day.
	PerDay float64
	// Churn is how many corrections of older labels arrive with each new label. Each makes an answer wrong or right
	// with equal probability.
	Churn float64
	// Jump is how much the error rate of new items rises, as a fraction, after the first JumpAt labels.
	Jump   float64
	JumpAt int
	// Cluster is the number of consecutive items that share an error rate. Correlation is the correlation between the
	// errors of two such items; 0 makes all errors independent. The error rates of clusters have a beta distribution
	// whose mean is the error rate of the stream.
	Cluster     int
	Correlation float64
}

// start is when every stream begins; the promotion is made then.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// values are the two labels of a stream; which one an item has does not affect any simulated figure.
var values = [2]map[string]string{{"label": "a"}, {"label": "b"}}

// textHash is the hash of every text.
const textHash = "00000000000000000000000000000000"

// Stream is one simulated stream of a World.
type Stream struct {
	world   World
	policy  *policy.Policy
	rng     *rand.Rand
	monitor *drift.Monitor

	n       int     // labels that have arrived since the start
	truth   []uint8 // by item
	answers []uint8
	churn   float64 // corrections that are due

	left      int     // remaining items of the cluster
	mean, own float64 // error rate of the stream when the cluster began, and that of the cluster
}

// New begins a stream with a promotion: it measures the model on the held-out set. p decides about the stream.
func New(w World, p *policy.Policy, seed uint64) *Stream {
	s := &Stream{world: w, policy: p, rng: rand.New(rand.NewPCG(seed, 0x5eed))}
	s.monitor = drift.NewMonitor(p.Config().Tests(drift.Options{Model: "simulated"}))
	s.monitor.Reset(drift.Release{
		Digest: "sha256:0", TrainedSeq: int64(w.Items), BaselineSeq: int64(w.Items),
		Cached: func(string, string) (serving.Answers, bool) { return values[s.answers[len(s.answers)-1]], true },
	}, func(yield func(drift.LabelChange) bool) {
		for i := range w.Items {
			id, truth := s.draw(1 - w.Accuracy)
			at := start.Add(-time.Duration(float64(w.Items-i) / w.PerDay * 24 * float64(time.Hour)))
			if !yield(drift.LabelChange{
				Item: id, Heldout: true, TextHash: textHash, New: values[truth], At: at, Seq: int64(i + 1),
			}) {
				return
			}
		}
	})
	s.rebase()
	return s
}

// draw generates an item and returns its id and its label. `wrong` is the error rate of the stream.
func (s *Stream) draw(wrong float64) (id string, truth uint8) {
	truth = uint8(s.rng.IntN(2))
	answer := truth
	if s.rng.Float64() < s.clustered(wrong) {
		answer = 1 - truth
	}
	id = strconv.Itoa(len(s.truth))
	s.truth, s.answers = append(s.truth, truth), append(s.answers, answer)
	return id, truth
}

// clustered returns the error rate of the next item. `wrong` is the error rate of the stream.
func (s *Stream) clustered(wrong float64) float64 {
	rho := s.world.Correlation
	if !(rho > 0) || wrong <= 0 || wrong >= 1 {
		return wrong
	}
	if s.left--; s.left < 0 || s.mean != wrong {
		s.left, s.mean = s.world.Cluster-1, wrong
		of := 1/rho - 1
		s.own = distuv.Beta{Alpha: wrong * of, Beta: (1 - wrong) * of, Src: s.rng}.Rand()
	}
	return s.own
}

// Now returns the time of the last label.
func (s *Stream) Now() time.Time {
	return start.Add(time.Duration(float64(s.n) / s.world.PerDay * 24 * float64(time.Hour)))
}

// Next adds one new label and the corrections that are due. It reports whether the new item is answered wrongly.
func (s *Stream) Next() (wrong bool) {
	rate := 1 - s.world.Accuracy
	if s.n >= s.world.JumpAt {
		rate += s.world.Jump
	}
	s.n++
	id, truth := s.draw(rate)
	s.monitor.Put(drift.LabelChange{
		Item: id, Heldout: true, TextHash: textHash, New: values[truth], Inserted: true,
		At: s.Now(), Seq: s.monitor.Seq() + 1,
	})
	wrong = s.answers[len(s.answers)-1] != truth
	for s.churn += s.world.Churn; s.churn >= 1; s.churn-- {
		s.correct(s.rng.IntN(2) == 0)
	}
	return wrong
}

// correct flips the label of a random item: one that is answered rightly if `right` is true, else one that is answered
// wrongly.
func (s *Stream) correct(right bool) {
	for range 1000 { // if hardly any such item exists, there is no correction
		i := s.rng.IntN(len(s.truth))
		if (s.truth[i] == s.answers[i]) != right {
			continue
		}
		s.truth[i] = 1 - s.truth[i]
		author := "ann"
		if s.rng.IntN(2) == 0 {
			author = "ben"
		}
		s.monitor.Label(drift.LabelChange{
			Item: strconv.Itoa(i), New: values[s.truth[i]], Author: author, At: s.Now(), Seq: s.monitor.Seq() + 1,
		})
		return
	}
}

// Baseline returns the number of right answers at the promotion and the number n of items.
func (s *Stream) Baseline() (correct, n int) {
	b := s.monitor.Release().Baseline
	return b.Correct, b.N
}

// Promised returns the accuracy that was measured at the promotion.
func (s *Stream) Promised() float64 { return s.monitor.Release().Baseline.Accuracy }

// Report returns the present report.
func (s *Stream) Report() drift.Report { return s.monitor.Report(s.Now()) }

// Decide makes the policy's decision on the present report. The history is empty, because only the verdict matters.
func (s *Stream) Decide() policy.Decision {
	return s.policy.Decide(s.Report(), policy.History{}, s.Now())
}

// Retrain simulates a promotion: the present figures become the baseline.
func (s *Stream) Retrain() { s.rebase() }

func (s *Stream) rebase() {
	if _, err := s.monitor.Rebase(s.Now()); err != nil {
		panic("simulate: " + err.Error()) // every item has its answer
	}
}
