package actions

import (
	"context"
	"time"

	"github.com/retraind/retraind/store"
)

const (
	probeTimeout = 5 * time.Minute
	probeTries   = 3 // a probe changes nothing, so it is repeated if its supervisor is lost
)

// probe runs a step's probe to find out whether the step had its effect although its supervisor was lost. Exit status 0
// means that it did: the step has succeeded. Another status means that it did not: the step may run again. If the probe
// ends in any other way, the effect stays unknown, and the step is not run again.
func (x *Executor) probe(ctx context.Context, p Plan, a Action, step Step, lost Outcome) (Outcome, error) {
	asked := step
	asked.Timeout, asked.Checkpoints, asked.Progress = probeTimeout, false, ""
	for try := 1; try <= probeTries; try++ {
		b := a
		b.Attempt = (a.Attempt-1)*probeTries + try
		spec, err := x.specIn(p, b, asked, step.Probe, "probe."+step.Name) // no step can have this name
		if err != nil {
			return failed(ctx, store.StepFailed, err)
		}
		exit, because, err := x.runCommand(ctx, p, a, spec, nil)
		if err != nil {
			return failed(ctx, store.StepFailed, err)
		}
		if because != nil && exit.Class != store.StepOK {
			return stoppedBy(because), nil
		}
		switch exit.Class {
		case store.StepOK:
			const there = "the supervisor of the command was lost, but the probe found the effect of the step"
			return Outcome{Class: store.StepOK, Detail: there}, nil
		case store.StepFailed:
			lost.Detail += "; the probe did not find the effect of the step"
			return lost, nil
		case store.StepUnknown:
			continue
		}
		lost.Detail += "; the probe failed: " + exit.Detail
		lost.Undecided = true
		return lost, nil
	}
	lost.Detail += "; the supervisor of the probe was lost, too"
	lost.Undecided = true
	return lost, nil
}
