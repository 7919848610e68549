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
// also checks that this process may take the leases.
func (g *Gate) turn(ctx context.Context, s actions.GPUStep, config gpu.Config) error {
	dir, err := gpu.LeaseDir(g.o.File().GPU.Leases)
	if err != nil {
		return g.blocked(ctx, s, err.Error())
	}
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(config.Wait.D()); ; {
		devices, err := g.probe.Devices(ctx)
		if err != nil {
			return g.unless(ctx, s, err)
		}
		leases := gpu.Leases{Dir: dir}
		if err := usable(leases, devices); err != nil {
			return g.blocked(ctx, s, err.Error())
		}
		leases.Mark(devices)
		holders := leaseHolders(devices)
		if holders == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return g.blocked(ctx, s, fmt.Sprintf("the GPU is not free, and nothing was stopped: after %s it is still leased by %s",
				config.Wait, holders))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
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
