package main

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/store"
)

// disagree is the share of items on which only one of candidate and champion is right.
const disagree = 0.10

// gateRow is one comparison: the number of items and the true advantage of the candidate.
type gateRow struct {
	n    int
	gain float64
}

func gateRows() []gateRow {
	var out []gateRow
	for _, n := range []int{200, 500, 2000} {
		for _, gain := range []float64{-.03, 0, .03} {
			out = append(out, gateRow{n, gain})
		}
	}
	return out
}

// gates lists the rules of promotion: retraind's two, and the naive one.
func gates() []actions.Gate {
	return []actions.Gate{actions.GateNotWorse, actions.GateBetter, actions.GatePoint}
}

// measureGate returns the share of candidates that each gate promotes. On each item only the candidate is right, only
// the champion is, or both agree. All gates judge the same draws. The naive gate promotes if the candidate is right at
// least as often as the champion.
func measureGate(r gateRow, draws int, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, uint64(r.n)))
	promoted := make([]int, len(gates()))
	for range draws {
		wins, losses := 0, 0
		for range r.n {
			switch u := rng.Float64(); {
			case u < (disagree+r.gain)/2:
				wins++
			case u < disagree:
				losses++
			}
		}
		both := int(accuracy * float64(r.n-wins-losses))
		facts := actions.GateFacts{
			Release: "sha256:candidate", N: r.n, Wins: wins, Losses: losses,
			Candidate: actions.Score{Correct: both + wins, Accuracy: float64(both+wins) / float64(r.n)},
			Champion:  &actions.Score{Correct: both + losses, Accuracy: float64(both+losses) / float64(r.n)},
		}
		for i, gate := range gates() {
			config := actions.PromoteConfig{Gate: gate}.WithDefaults()
			if _, class, _ := actions.Judge(config, facts, "sha256:champion"); class == store.StepOK {
				promoted[i]++
			}
		}
	}
	out := make([]float64, len(promoted))
	for i, n := range promoted {
		out[i] = float64(n) / float64(draws)
	}
	return out
}

func printGates(to io.Writer, s size) error {
	fmt.Fprintf(to, "| held-out items | candidate is truly | `not_worse` (margin 1) promotes | `better` promotes | candidate >= champion promotes |\n|---:|---:|---:|---:|---:|\n")
	for _, r := range gateRows() {
		truth := "as good"
		if r.gain != 0 {
			truth = fmt.Sprintf("%+.0f points", 100*r.gain)
		}
		shares := measureGate(r, s.draws, s.seed)
		fmt.Fprintf(to, "| %d | %s | %s | %s | %s |\n", r.n, truth, text.Percent(shares[0]), text.Percent(shares[1]),
			text.Percent(shares[2]))
	}
	fmt.Fprintln(to)
	return nil
}
