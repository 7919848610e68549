package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/retraind/retraind/gpu"
)

const (
	// regainIn is how long restored containers may take to use GPU memory again.
	regainIn = 10 * time.Second
	// regainEvery is the pause between two checks of the GPUs.
	regainEvery = 500 * time.Millisecond
)

// MarkOnGPU records which containers use GPU memory.
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

// withoutGPU returns the indices of restored containers that used GPU memory before and use none now.
func withoutGPU(results []Result, devices []gpu.Device) (missing []int) {
	for i, r := range results {
		c := r.Entry.Container
		if r.Ending == Restored && c != nil && c.OnGPU && !onGPU(c.ID, devices) {
			missing = append(missing, i)
		}
	}
	return missing
}

// CheckGPU waits until restored containers use GPU memory again. It returns the results of those that do not, with a
// remark in Detail. That is no failure: a service may load its model only with the first request. If no container used
// GPU memory, the driver is not queried.
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
			what = "; it is unknown whether it uses the GPU again: " + err.Error()
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
