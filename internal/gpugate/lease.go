package gpugate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/gpu"
)

// leaseForOllama leases the device that an Ollama server will use, for a step that queries the server. The step's own
// process uses no memory on the device, so it needs only the lease, not free memory.
func (g *Gate) leaseForOllama(
	ctx context.Context, s actions.GPUStep, leases gpu.Leases, config gpu.Config,
) (actions.GPUGrant, error) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(config.Wait.D()); ; {
		devices, why, err := g.devices(ctx, s, leases)
		if err != nil {
			return actions.GPUGrant{}, err
		}
		why = cmp.Or(why, "the driver lists no usable GPU")
		if holders := leaseHolders(devices); holders != "" {
			why = "it is still leased by " + holders
		}
		if d := ollamaTakes(devices); d != nil {
			if why = g.queue.before(s.Run, *d); why == "" {
				lease, err := leases.TryAcquire(d.UUID, owner(s))
				if err == nil {
					return actions.GPUGrant{Lease: lease.File()}, nil
				}
				if !errors.Is(err, gpu.ErrLeased) {
					return actions.GPUGrant{}, g.unless(ctx, s, err)
				}
				why = err.Error()
			}
		}
		if time.Now().After(deadline) {
			return actions.GPUGrant{}, g.blocked(ctx, s, fmt.Sprintf(
				"the GPU is not free for the models that the step queries, after %s: %s", config.Wait, why))
		}
		select {
		case <-ctx.Done():
			return actions.GPUGrant{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// ollamaTakes returns the unleased device that Ollama will use, or nil if there is none. Like the server, it prefers
// the device with the most Ollama processes, and of equal ones the device with the most free memory.
func ollamaTakes(devices []gpu.Device) *gpu.Device {
	usable := slices.DeleteFunc(slices.Clone(devices), func(d gpu.Device) bool { return d.Split || d.Lease != "" })
	if len(usable) == 0 {
		return nil
	}
	models := func(d gpu.Device) (n int) {
		for _, p := range d.Processes {
			if p.Kind() == gpu.KindOllama {
				n++
			}
		}
		return n
	}
	best := slices.MaxFunc(usable, func(a, b gpu.Device) int {
		return cmp.Or(cmp.Compare(models(a), models(b)), cmp.Compare(a.Free.Size, b.Free.Size), cmp.Compare(b.Index, a.Index))
	})
	return &best
}

// owner returns the text that identifies a step's run in the lease.
func owner(s actions.GPUStep) string { return fmt.Sprintf("run %s of model %s", s.Run, s.Model) }
