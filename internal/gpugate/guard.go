package gpugate

import (
	"context"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/policy"
)

const (
	// guardEvery is the pause between two checks of the stopped things: a restart must be reported within 5 s.
	guardEvery = 2 * time.Second
	// stopAgain is the maximum number of times that a thing is stopped again in one step.
	stopAgain = 5
)

// guard checks the things that a run has stopped, until ctx ends. If a thing restarted automatically, guard stops it
// again and calls `found`. After stopAgain restarts, or if a person has started the thing, guard ends the step by
// calling `stop`, and does not stop the thing again. If `models` is false, guard does not check Ollama's models,
// because the step itself loads some.
func (g *Gate) guard(
	ctx context.Context, s actions.GPUStep, models bool, found func(text string), stop func(*actions.BlockedError),
) {
	if g.o.Ledger == nil {
		return
	}
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	stopped := map[string]int{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		entries, _, err := g.o.Ledger.Entries()
		if err != nil {
			continue // Restore reports it
		}
		for _, e := range entries {
			if e.Run.ID != s.Run || e.Loaded != nil && !models {
				continue
			}
			text, why := g.cameBack(ctx, e, stopped)
			if ctx.Err() != nil {
				return
			}
			if text != "" {
				found(text)
			}
			if why != nil {
				stop(why)
				return
			}
		}
	}
}

// cameBack handles a stopped thing that is running again. It returns what it has done, or why the step must end.
func (g *Gate) cameBack(ctx context.Context, e ledger.Entry, stopped map[string]int) (string, *actions.BlockedError) {
	state, err := g.o.Ledger.Look(ctx, e.Thing)
	if err != nil || !state.Runs() || state.Standing == ledger.Leaving {
		return "", nil //nolint:nilerr // an unknown state is checked again at the next tick
	}
	again := e.Loaded != nil || e.Container != nil && e.Container.Policy == "always"
	if !again || stopped[e.Key()] >= stopAgain {
		return "", &actions.BlockedError{
			Why:    policy.ReasonGPUHeld,
			Reason: fmt.Sprintf("%s runs again although it was stopped for the step: %s", e.Thing, whoStarted(e, again)),
		}
	}
	stopped[e.Key()]++
	if err := g.stopAgain(ctx, e, state.Thing); err != nil {
		return fmt.Sprintf("%s runs again, and cannot be stopped: %v", e.Thing, err), nil
	}
	return fmt.Sprintf("%s started again (%s) and was stopped again", e.Thing, whyBack(e)), nil
}

// stopAgain stops a thing that runs again. It first records the new instance, so that the ledger does not treat it as
// started by a person.
func (g *Gate) stopAgain(ctx context.Context, e ledger.Entry, as ledger.Thing) error {
	unlock, err := g.o.Ledger.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if e.Container != nil {
		as.Container.OnGPU = e.Container.OnGPU
	}
	if e.Loaded != nil {
		as.Loaded.Left = e.Loaded.Left // keep the original time: a client may have changed it
	}
	if err := g.o.Ledger.Renote(e, as, time.Now()); err != nil {
		return err
	}
	return g.o.Ledger.Stop(ctx, as)
}

func whyBack(e ledger.Entry) string {
	if e.Loaded != nil {
		return "a client requested it"
	}
	return "restart: always"
}

func whoStarted(e ledger.Entry, again bool) string {
	if again {
		return fmt.Sprintf("it was restarted %d times (%s)", stopAgain+1, whyBack(e))
	}
	return "a person or another program has started it"
}

// guarded runs g.guard in the background. The returned function stops it.
func (g *Gate) guarded(
	ctx context.Context, s actions.GPUStep, models bool, found func(string), stop func(*actions.BlockedError),
) (end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.guard(ctx, s, models, found, stop)
	}()
	return func() {
		cancel(errStepOver)
		<-done
	}
}
