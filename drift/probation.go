package drift

import (
	"time"

	"github.com/retraind/retraind/drift/stats"
)

// Probation is the period after a promotion in which an EProcess monitors the release on new held-out items. It tests
// whether the release's error rate on these items is higher than the gate's measurement allows.
type Probation struct {
	Since time.Time `json:"since"` // the promotion
	Until time.Time `json:"until"` // labels after it do not count
	// Alpha bounds the probability that the test crosses its bound although the release is as good as the gate
	// measured.
	Alpha float64 `json:"alpha"`
}

// OnProbation is the state of the test of a Probation.
type OnProbation struct {
	Probation
	N         int     `json:"n"` // new items
	Errors    int     `json:"errors"`
	Tolerated float64 `json:"tolerated"` // error rate that the gate's figures allow
	E         float64 `json:"e"`         // e-value, 1 at the beginning
	Bound     float64 `json:"bound"`     // e-value at which the release fails: 1/Alpha
	// Crossed stays true once the bound was reached; the figures are then those of that time.
	Crossed bool `json:"crossed"`
}

// Over reports whether the probation ended without failing: its end has passed and the test did not reject the release.
func (p OnProbation) Over(now time.Time) bool { return !p.Crossed && !now.Before(p.Until) }

// trial is the running test of a Probation. It starts once: Rebase, which restarts the other tests, ends it.
type trial struct {
	Probation `json:"-"`

	Test    stats.EProcess `json:"test"`
	Crossed bool           `json:"crossed,omitempty"`
	// Late are queued items whose label arrived after the end. All other queued items count even if they are answered
	// after the end, because an outage of the service must not hide evidence.
	Late map[string]struct{} `json:"late,omitempty"`
}

// newTrial starts the test of a probation. It returns nil without a probation or without a baseline to compare with.
func newTrial(p *Probation, b *Baseline) *trial {
	if p == nil || b == nil {
		return nil
	}
	t := &trial{
		Probation: *p, Test: stats.NewEProcess(stats.ToleratedError(b.Correct, b.N)),
		Late: map[string]struct{}{},
	}
	if b.Dependence != nil && b.Dependence.Valid() {
		t.Test.Dependence = *b.Dependence
	}
	return t
}

// queued records whether the label of a queued item arrived after the end of the probation.
func (t *trial) queued(id string, at time.Time) {
	if t != nil && !at.Before(t.Until) {
		t.Late[id] = struct{}{}
	}
}

// judge adds the result for an item from the queue to the test, unless its label arrived late.
func (t *trial) judge(id string, wrong bool) {
	if t == nil || t.Crossed {
		return
	}
	if _, late := t.Late[id]; late {
		return
	}
	t.Test.Add(wrong)
	t.Crossed = t.Test.Rejects(t.Alpha)
}

// left removes from Late an item that is no longer queued.
func (t *trial) left(id string) {
	if t != nil {
		delete(t.Late, id)
	}
}

// report returns the state of the trial, nil without a trial.
func (t *trial) report() *OnProbation {
	if t == nil {
		return nil
	}
	return &OnProbation{
		Probation: t.Probation, N: t.Test.N, Errors: t.Test.Errs, Tolerated: t.Test.P0, E: t.Test.E(), Bound: 1 / t.Alpha,
		Crossed: t.Crossed,
	}
}

// continues restores the state of a stored trial, unless that is invalid or tests against another error rate.
func (t *trial) continues(stored *trial) {
	if t == nil || stored == nil || !t.Test.Restore(stored.Test) {
		return
	}
	t.Crossed = stored.Crossed
	for id := range stored.Late {
		t.Late[id] = struct{}{}
	}
}
