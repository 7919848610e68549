package gpugate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
)

// goneEvery is the pause between two checks of what was stopped.
const goneEvery = 500 * time.Millisecond

// Free implements actions.GPU. First it waits for its turn, and checks that everything in gpu.stop that is running can be
// started again. Then it records these things in the ledger and stops them in the listed order. At the end it waits
// until their processes have ended and their memory is free.
func (g *Gate) Free(ctx context.Context, s actions.GPUStep, r actions.Room) (string, error) {
	config := g.config(s.Model)
	g.lend(s.Run, r.Stop)
	log := g.o.Log.With("model", s.Model, "run_id", s.Run, "step", s.Step)
	if err := gpu.Prove(ctx, g.probe); gpu.Lasting(err) {
		return "", g.blocked(ctx, s, "nothing was stopped: the GPU cannot be used: "+err.Error())
	}
	before, err := g.turn(ctx, s, config)
	if err != nil {
		return "", err
	}
	entries, own, err := g.stopThings(ctx, s, r, before, config.StopWithin.D())
	if err != nil {
		return "", g.unless(ctx, s, err)
	}
	if len(entries)+len(own) == 0 {
		return "nothing in gpu.stop is running", nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Thing.String())
	}
	log.Info("programs were stopped to free the gpu", "stopped", names)
	if err := g.awaitGone(ctx, s, slices.Concat(entries, own), before, config.StopWithin.D()); err != nil {
		return "", g.unless(ctx, s, err)
	}
	faults.Point("freed")
	after, err := g.probe.Devices(ctx)
	if err != nil {
		return "", g.unless(ctx, s, err)
	}
	freed := freedBytes(before, after)
	if len(entries) == 0 {
		return fmt.Sprintf("unloaded %s, which the run itself had loaded: %s of GPU memory was freed", titles(own),
			gpu.Amount(freed)), nil
	}
	data := notify.GPUFreed{Run: s.Run, Step: s.Step, Stopped: names, Memory: freed.Bytes()}
	if err := g.tell(ctx, notify.GPUReleased, s, data); err != nil {
		return "", err
	}
	return fmt.Sprintf("stopped %s: %s of GPU memory was freed", strings.Join(names, ", "), gpu.Amount(freed)), nil
}

// stopThings records the running things in the ledger and stops them. It returns as `own` the models that the run
// itself has loaded, which are unloaded without an entry in the ledger. If a thing cannot be stopped, the error names
// it; the ledger then lists all running things, even those that were not stopped. Each thing may take as long as within.
func (g *Gate) stopThings(
	ctx context.Context, s actions.GPUStep, r actions.Room, before []gpu.Device, within time.Duration,
) (entries, own []ledger.Entry, err error) {
	unlock, err := g.o.Ledger.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if own, err = g.own(ctx, r.Asked); err != nil {
		return nil, nil, err
	}
	things, err := g.find(ctx, s, r.Stop)
	if err != nil {
		return nil, nil, err
	}
	things = slices.DeleteFunc(things, func(t ledger.Thing) bool {
		return slices.ContainsFunc(own, func(e ledger.Entry) bool { return e.Key() == t.Key() })
	})
	ledger.MarkOnGPU(things, before)
	if len(things) > 0 {
		run := ledger.Run{ID: s.Run, Model: s.Model, Dir: r.RunDir, UntilEnd: r.UntilEnd}
		if entries, err = g.o.Ledger.Note(run, time.Now(), things...); err != nil {
			return nil, nil, fmt.Errorf("nothing was stopped: %w", err)
		}
		faults.Point("ledger:noted")
	}
	for _, e := range slices.Concat(entries, own) {
		if err := g.stop(ctx, e.Thing, within); err != nil {
			return nil, nil, err
		}
		faults.Point("ledger:stopped")
	}
	return entries, own, nil
}

// stop stops a thing, or gives up waiting for its end after the given time.
func (g *Gate) stop(ctx context.Context, t ledger.Thing, within time.Duration) error {
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := g.o.Ledger.Stop(timed, t)
	switch {
	case err != nil && timed.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%s did not stop within %s (gpu.stop_within)", t, unit.Duration(within))
	case err != nil:
		return fmt.Errorf("%s cannot be stopped: %w", t, err)
	}
	return nil
}

// find lists the things named in stop that are running, and those that only other runs have stopped. The caller records
// the latter for this run, too, so that they stay stopped when the other run ends.
func (g *Gate) find(ctx context.Context, s actions.GPUStep, stop []gpu.StopConfig) ([]ledger.Thing, error) {
	var things []ledger.Thing
	for _, c := range stop {
		found, err := g.o.Ledger.Find(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("nothing was stopped, since a restart is not guaranteed: %w", err)
		}
		for _, t := range found {
			if !slices.ContainsFunc(things, func(other ledger.Thing) bool { return other.Key() == t.Key() }) {
				things = append(things, t) // several entries of stop may name it
			}
		}
	}
	owed, _, err := g.o.Ledger.Entries()
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, e := range owed {
		mine[e.Key()] = mine[e.Key()] || e.Run.ID == s.Run
		for _, t := range things {
			if t.Container != nil && e.Run.ID == s.Run && t.Key() == e.Key() {
				t.Container.OnGPU = e.Container.OnGPU
			}
			if t.Loaded != nil && e.Run.ID == s.Run && t.Key() == e.Key() {
				*t.Loaded = *e.Loaded // keep the original state, because the run itself may have queried the model since
			}
		}
	}
	for _, e := range owed {
		if !mine[e.Key()] && ledger.Named(e.Thing, stop) {
			mine[e.Key()] = true
			things = append(things, e.Thing)
		}
	}
	return things, nil
}

// awaitGone waits until every stopped thing reports that it is off and the driver no longer lists its processes and
// memory. Both are checked because Ollama's list of models is empty before the memory is free. If a client keeps a
// model busy, the model is unloaded repeatedly.
func (g *Gate) awaitGone(
	ctx context.Context, s actions.GPUStep, entries []ledger.Entry, before []gpu.Device, patience time.Duration,
) error {
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		stays, err := g.staying(ctx, entries, before)
		if err != nil || stays == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("stopped %s ago, but still running or using GPU memory: %s", patience, stays)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// staying describes what still runs or still uses memory, and returns "" if nothing does. If `before` is empty, the
// driver is not queried.
func (g *Gate) staying(ctx context.Context, entries []ledger.Entry, before []gpu.Device) (string, error) {
	for _, e := range entries {
		state, err := g.o.Ledger.Look(ctx, e.Thing)
		if err != nil {
			return "", err
		}
		if !state.Runs() {
			continue
		}
		why := e.Thing.String() + " " + state.Detail
		if e.Loaded != nil {
			if err := g.o.Ledger.Stop(ctx, e.Thing); err != nil {
				return "", err
			}
			why = e.Thing.String() + ": a client keeps sending requests to the model, so Ollama does not unload it; list the client before the model in gpu.stop"
		}
		return strings.TrimSpace(why), nil
	}
	if len(before) == 0 {
		return "", nil
	}
	devices, err := g.probe.Devices(ctx)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // what cannot be seen is not gone
	}
	return remaining(entries, before, devices), nil
}

// remaining returns a process of a stopped thing that the driver still lists, or how much more memory than before is
// used by no listed process. It returns "" if there is neither.
func remaining(entries []ledger.Entry, before, now []gpu.Device) string {
	for _, d := range now {
		for _, q := range d.Processes {
			if ledger.Holds(entries, q) && !q.Gone {
				return fmt.Sprintf("GPU %d: %s", d.Index, q)
			}
		}
		for _, b := range before {
			was, is := b.Unexplained(), d.Unexplained()
			if b.UUID == d.UUID && was.State == gpu.Known && is.State == gpu.Known && is.Size > was.Size+slack {
				return fmt.Sprintf("GPU %d: %s that no process accounts for", d.Index, gpu.Amount(is.Size-was.Size))
			}
		}
	}
	return ""
}

// slack is the amount by which the memory that the driver uses itself may vary.
const slack = 256 << 20

// freedBytes returns how much more memory is free in `after` than in `before`, summed over all devices.
func freedBytes(before, after []gpu.Device) (sum unit.Size) {
	for _, d := range after {
		for _, b := range before {
			if b.UUID == d.UUID && b.Free.State == gpu.Known && d.Free.State == gpu.Known {
				sum += max(0, d.Free.Size-b.Free.Size)
			}
		}
	}
	return sum
}

// unless turns an error into the error of a blocked step. If ctx has ended, it returns the cause of that.
func (g *Gate) unless(ctx context.Context, s actions.GPUStep, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return g.blocked(ctx, s, err.Error())
}

// blocked returns the error of a step that may not start, and publishes its event.
func (g *Gate) blocked(ctx context.Context, s actions.GPUStep, reason string) error {
	if err := g.tell(ctx, notify.GPUBlocked, s, notify.GPUHeld{Run: s.Run, Step: s.Step, Reason: reason}); err != nil {
		return err
	}
	return &actions.BlockedError{Reason: reason, Why: policy.ReasonGPUHeld}
}
