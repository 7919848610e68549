package main

import (
	"fmt"
	"math"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

const (
	// usualDifference is the share of texts that two good releases usually classify differently.
	usualDifference = 0.05
	gateLevel       = 0.05
)

// checkSize compares the number of held-out items with the numbers that the policy and the gate need.
func checkSize(m *configs.Model, r *drift.Report) check.Problems {
	var p check.Problems
	if r == nil || r.HeldOut == 0 {
		return nil
	}
	if need := m.Policy.Evaluate.MinItems; need > r.HeldOut {
		p.Warnf("evaluate.min_items", fmt.Sprintf("set it to at most %d, or hold out more items (heldout.share)", r.HeldOut),
			"%s held out, fewer than min_items %d, so the policy never decides to retrain", text.Plural(r.HeldOut, "item"), need)
	}
	if m.Promote.Gate == actions.GateBetter && r.HeldOut < 5 {
		p.Warnf("promote.gate", "hold out more items, or set gate: not_worse",
			"with only %s no candidate can pass `gate: better`", text.Plural(r.HeldOut, "held-out item"))
	}
	return p
}

// gateText describes how the gate would judge a candidate that is as good as the champion, at the size of the
// held-out set.
func gateText(c actions.PromoteConfig, heldOut int) string {
	differ := max(2, int(math.Round(usualDifference*float64(heldOut))))
	if c.Gate != actions.GateNotWorse || heldOut < differ {
		return ""
	}
	ni := stats.NonInferior(differ/2, differ-differ/2, heldOut, float64(c.Margin)/100, gateLevel)
	if ni.Pass {
		return fmt.Sprintf("a candidate as good as the champion is promoted even if it answers %d items differently", differ)
	}
	return fmt.Sprintf("with promote.margin %g even a candidate as good as the champion is refused if it answers %d items differently; it is promoted if promote.margin is at least %.0f",
		float64(c.Margin), differ, math.Ceil(-100*ni.Lower))
}
