package gpugate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/gpu"
)

// turnEvery is the pause between two checks of the leases.
const turnEvery = time.Second

// turn waits until some device is not leased, because it is useless to stop anything while all devices are leased. It
// also checks that this process may take the leases. It returns the devices at that time.
func (g *Gate) turn(ctx context.Context, s actions.GPUStep, config gpu.Config) ([]gpu.Device, error) {
	dir, err := gpu.LeaseDir(g.o.File().GPU.Leases)
	if err != nil {
		return nil, g.blocked(ctx, s, err.Error())
	}
	leases := gpu.Leases{Dir: dir}
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(config.Wait.D()); ; {
		devices, why, err := g.devices(ctx, s, leases)
		if err != nil {
			return nil, err
		}
		switch {
		case why != "":
		case len(devices) == 0:
			why = "the driver lists no GPU"
		default:
			if err := usable(leases, devices); err != nil {
				return nil, g.blocked(ctx, s, err.Error())
			}
			holders := leaseHolders(devices)
			if holders == "" {
				return devices, nil
			}
			why = "it is still leased by " + holders
		}
		if time.Now().After(deadline) {
			return nil, g.blocked(ctx, s,
				fmt.Sprintf("the GPU is not free, and nothing was stopped, after %s: %s", config.Wait, why))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// devices lists the devices with the holders of their leases. If the query fails in a way that may pass, it returns the
// reason `why` instead. A lasting fault blocks the step.
func (g *Gate) devices(
	ctx context.Context, s actions.GPUStep, leases gpu.Leases,
) (list []gpu.Device, why string, err error) {
	list, err = g.probe.Devices(ctx)
	switch {
	case err == nil:
		leases.Mark(list)
		return list, "", nil
	case ctx.Err() != nil || gpu.Lasting(err):
		return nil, "", g.unless(ctx, s, err)
	}
	return nil, err.Error(), nil
}

// usable checks that the devices' leases can be taken.
func usable(leases gpu.Leases, devices []gpu.Device) error {
	for _, d := range devices {
		if d.Split { // its instances are leased instead
			continue
		}
		if err := leases.Check(d.UUID); err != nil {
			return err
		}
	}
	return nil
}

// leaseHolders names the holders of the leases of all devices. It returns "" if a device is not leased.
func leaseHolders(devices []gpu.Device) string {
	var names []string
	for _, d := range devices {
		switch {
		case d.Split: // its instances are in the list
		case d.Lease == "":
			return ""
		case !slices.Contains(names, d.Lease):
			names = append(names, d.Lease)
		}
	}
	return strings.Join(names, "; ")
}

// queue orders the runs that wait for a device by their ids, which sort by time: the run that became due first gets a
// device first.
type queue struct {
	mu      sync.Mutex
	waiting map[string]wish // by run
}

// wish is what a waiting run needs.
type wish struct {
	config gpu.Config
	need   gpu.Need
}

func (q *queue) enter(run string, w wish) (leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = map[string]wish{}
	}
	q.waiting[run] = w
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.waiting, run)
	}
}

// before returns a sentence about an earlier run that also waits and could use the device in its present state, or ""
// if there is none.
func (q *queue) before(run string, d gpu.Device) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	for other, w := range q.waiting {
		if other < run && w.config.Fits(d, w.need) {
			return "run " + other + " is also waiting for it, and was due earlier"
		}
	}
	return ""
}
