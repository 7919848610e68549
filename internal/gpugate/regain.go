package gpugate

import (
	"context"
	"slices"
	"time"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
)

// regainIn is how long containers that are back may take until they have memory on a GPU again.
const regainIn = 10 * time.Second

// markOnGPU records which containers have memory on a GPU.
func markOnGPU(things []ledger.Thing, devices []gpu.Device) {
	for _, t := range things {
		if t.Container != nil && onGPU(t.Container.ID, devices) {
			t.Container.OnGPU = true
		}
	}
}

func onGPU(container string, devices []gpu.Device) bool {
	return slices.ContainsFunc(devices, func(d gpu.Device) bool {
		return slices.ContainsFunc(d.Processes, func(p gpu.Process) bool { return p.Container == container && !p.Gone })
	})
}

// withoutGPU returns the indices of containers that were restored and have no memory on a GPU, which they had before.
func withoutGPU(results []ledger.Result, devices []gpu.Device) (missing []int) {
	for i, r := range results {
		c := r.Entry.Container
		if r.Ending == ledger.Restored && c != nil && c.OnGPU && !onGPU(c.ID, devices) {
			missing = append(missing, i)
		}
	}
	return missing
}

// checkGPU waits until the containers that are back have memory on a GPU again, and adds to the details of those that have
// none. That is no failure: a service may load its model with the first request.
func (g *Gate) checkGPU(ctx context.Context, results []ledger.Result) {
	missing := withoutGPU(results, nil)
	if len(missing) == 0 {
		return
	}
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	what := ""
	for deadline := time.Now().Add(regainIn); time.Now().Before(deadline); {
		devices, err := g.probe.Devices(ctx)
		if err != nil {
			what = "; whether it has the GPU again is not known: " + err.Error()
		} else {
			missing = withoutGPU(results, devices)
			what = "; it had memory on the GPU before and has none yet: if it does not load its model with the next request, restart it"
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	for _, i := range missing {
		results[i].Detail += what
		g.o.Log.Warn("a container has not got the gpu back", "run_id", results[i].Entry.Run.ID,
			"thing", results[i].Entry.Thing.String(), "detail", results[i].Detail)
	}
}
