package actions

import (
	"context"
	"time"

	"github.com/retraind/retraind/store"
)

const (
	probeTimeout = 5 * time.Minute
	probeTries   = 3 // a probe only looks: one that was lost itself is asked again
)

// probe checks whether the effect of a step is there whose outcome is unknown, because its supervisor was lost. A step
// whose effect is there has succeeded. If the probe fails, the effect is unknown, and the step is not run again.
func (x *Executor) probe(ctx context.Context, p Plan, a Action, step Step, lost Outcome) (Outcome, error) {
	asked := step
	asked.Timeout, asked.Checkpoints, asked.Progress = probeTimeout, false, ""
	for try := 1; try <= probeTries; try++ {
		b := a
		b.Attempt = (a.Attempt-1)*probeTries + try
		spec, err := x.specIn(p, b, asked, step.Probe, "probe."+step.Name) // no step can have the name
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
			const there = "its supervisor was lost, and its probe says that its effect is there"
			return Outcome{Class: store.StepOK, Detail: there}, nil
		case store.StepFailed:
			lost.Detail += "; its probe says that its effect is not there"
			return lost, nil
		case store.StepUnknown:
			continue
		}
		lost.Detail += "; its probe could not be asked: " + exit.Detail
		lost.Undecided = true
		return lost, nil
	}
	lost.Detail += "; its probe was lost too"
	lost.Undecided = true
	return lost, nil
}
