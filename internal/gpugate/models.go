package gpugate

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/faults"
)

var _ actions.Models = &Gate{}

// Unload implements actions.Models. If the driver answers, Unload also waits until the memory is free.
func (g *Gate) Unload(ctx context.Context, s actions.GPUStep, r actions.Room) (string, error) {
	before, err := g.myTurn(ctx, s)
	if err != nil {
		return "", err
	}
	within := g.config(s.Model).StopWithin.D()
	if _, _, err := g.stopThings(ctx, s, r, before, within); err != nil {
		return "", err
	}
	entries, err := g.mine(s.Run, r.Stop)
	if err != nil {
		return "", err
	}
	if len(entries) == 0 {
		return "nothing to unload: not loaded", nil
	}
	if err := g.awaitGone(ctx, s, entries, before, within); err != nil {
		return "", g.unless(ctx, s, err)
	}
	faults.Point("unloaded")
	text := "unloaded " + titles(entries)
	if before == nil {
		return text, nil
	}
	after, err := g.probe.Devices(ctx)
	if err != nil {
		return "", g.unless(ctx, s, err)
	}
	return fmt.Sprintf("%s: %s of GPU memory was freed", text, gpu.Amount(freedBytes(before, after))), nil
}

// Reload implements actions.Models.
func (g *Gate) Reload(ctx context.Context, s actions.GPUStep, m gpu.StopConfig) (string, error) {
	if _, err := g.myTurn(ctx, s); err != nil {
		return "", err
	}
	return g.restore(ctx, s, func(e ledger.Entry) bool { return ledger.Named(e.Thing, []gpu.StopConfig{m}) })
}

// myTurn waits until some device is not leased, if the model has a gpu section. It returns the devices at that time.
// It returns nil if no driver answers, because Ollama also works without a GPU.
func (g *Gate) myTurn(ctx context.Context, s actions.GPUStep) ([]gpu.Device, error) {
	devices, err := g.probe.Devices(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m := g.o.File().Models[s.Model]
	if err != nil || len(devices) == 0 || m == nil || m.GPU == nil {
		return devices, nil //nolint:nilerr // the models are not on a GPU then
	}
	return g.turn(ctx, s, *m.GPU)
}

// mine lists the ledger entries of a run whose things are named in `stop`.
func (g *Gate) mine(run string, stop []gpu.StopConfig) ([]ledger.Entry, error) {
	all, _, err := g.o.Ledger.Entries()
	var list []ledger.Entry
	for _, e := range all {
		if e.Run.ID == run && ledger.Named(e.Thing, stop) {
			list = append(list, e)
		}
	}
	return list, err
}
