package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/retraind/retraind/gpu"
)

const (
	// regainIn is how long containers that are back may take until they have memory on a GPU again.
	regainIn = 10 * time.Second
	// regainEvery is the pause between two looks at the GPUs.
	regainEvery = 500 * time.Millisecond
)

// MarkOnGPU records which containers have memory on a GPU.
func MarkOnGPU(things []Thing, devices []gpu.Device) {
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
func withoutGPU(results []Result, devices []gpu.Device) (missing []int) {
	for i, r := range results {
		c := r.Entry.Container
		if r.Ending == Restored && c != nil && c.OnGPU && !onGPU(c.ID, devices) {
			missing = append(missing, i)
		}
	}
	return missing
}

// CheckGPU waits until the containers that are back have memory on a GPU again. It adds to the details of those that have
// none, and returns them. That is no failure: a service may load its model with the first request. Without such
// containers the driver is not asked.
func CheckGPU(ctx context.Context, inventory gpu.Inventory, results []Result) []Result {
	missing := withoutGPU(results, nil)
	if len(missing) == 0 {
		return nil
	}
	tick := time.NewTicker(regainEvery)
	defer tick.Stop()
	what := ""
	for deadline := time.Now().Add(regainIn); time.Now().Before(deadline); {
		devices, err := inventory.Devices(ctx)
		if err != nil {
			what = "; it is unknown whether it uses the GPU again:  " + err.Error()
		} else {
			missing = withoutGPU(results, devices)
			what = "; it used GPU memory before and uses none yet: if it does not load its model with the next request, restart it"
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	var without []Result
	for _, i := range missing {
		results[i].Detail += what
		without = append(without, results[i])
	}
	return without
}
