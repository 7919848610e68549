package gpugate

import (
	"context"
	"slices"
	"time"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
)

// regainIn is how long restored containers may take to have GPU memory again.
const regainIn = 10 * time.Second

// markOnGPU records which containers use GPU memory.
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

// withoutGPU returns the indices of restored containers that used GPU memory before and use none now.
func withoutGPU(results []ledger.Result, devices []gpu.Device) (missing []int) {
	for i, r := range results {
		c := r.Entry.Container
		if r.Ending == ledger.Restored && c != nil && c.OnGPU && !onGPU(c.ID, devices) {
			missing = append(missing, i)
		}
	}
	return missing
}

// checkGPU waits until restored containers use GPU memory again, and adds a remark to the details of those that do not.
// That is no failure: a service may load its model with the first request.
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
			what = "; it is unknown whether it uses the GPU again: " + err.Error()
		} else {
			missing = withoutGPU(results, devices)
			what = "; it used GPU memory before and uses none yet: if it does not load its model with the next request, restart it"
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
		g.o.Log.Warn("a restored container does not use the gpu", "run_id", results[i].Entry.Run.ID,
			"thing", results[i].Entry.Thing.String(), "detail", results[i].Detail)
	}
}
