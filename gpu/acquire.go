package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Request is a request for a GPU, with its conditions.
type Request struct {
	Inventory Inventory
	Leases    Leases
	Config    Config
	Need      Need   // from measured peaks; zero without any
	Owner     string // shown to people as the holder of the lease: "run 01kb… of model news"
	// Turn returns why another run takes precedence on a device, "" if none does; it may be nil.
	Turn func(Device) string
	// Report is called with every verdict whose result or text differs from the previous verdict's; it may be nil.
	Report func(Verdict)
}

// Grant is a leased GPU that was free at the last sample.
type Grant struct {
	Lease  *Lease
	Device Device // as it was in that sample, before the step's own processes started
}

// Env returns the environment variables that restrict a program to the granted device.
func (g *Grant) Env() map[string]string {
	return map[string]string{"CUDA_VISIBLE_DEVICES": g.Device.UUID}
}

// Acquire waits until a device is free for long enough, takes its lease and samples it once more: a device is granted
// only if this last sample shows it free. Without a grant the verdict has the reason; an error means that ctx has ended
// or that the lease cannot be taken or released.
func Acquire(ctx context.Context, r Request) (*Grant, Verdict, error) {
	inventory := marked{r.Inventory, r.Leases}
	gate := NewGate(r.Config, r.Need, time.Now())
	told := Verdict{}
	report := func(v Verdict) {
		if r.Report != nil && (v.Result != told.Result || v.Text != told.Text) {
			r.Report(v)
		}
		told = v
	}
	for {
		v, err := wait(ctx, inventory, gate, report)
		if err != nil || v.Result != Open {
			return nil, v, err
		}
		if why := r.later(*v.Best); why != "" {
			report(Verdict{Result: Waiting, UUID: v.UUID, Best: v.Best, Text: v.Text + ", but " + why})
			gate.Again()
			if err := pause(ctx, gate.Every()); err != nil {
				return nil, v, err
			}
			continue
		}
		lease, err := r.Leases.TryAcquire(v.UUID, r.Owner)
		if errors.Is(err, ErrLeased) { // taken since the last sample
			gate.Again()
			continue
		}
		if err != nil {
			return nil, v, err
		}
		devices, err := r.Inventory.Devices(ctx)
		if ctx.Err() != nil {
			return nil, v, errors.Join(context.Cause(ctx), lease.Release())
		}
		d, why := lastLook(r, v.UUID, devices, err)
		if why == "" {
			return &Grant{Lease: lease, Device: d}, v, nil
		}
		if err := lease.Release(); err != nil {
			return nil, v, err
		}
		report(Verdict{Result: Waiting, UUID: v.UUID, Text: "not free at the last check before the start: " + why})
		gate.Again()
	}
}

func (r Request) later(d Device) string {
	if r.Turn == nil {
		return ""
	}
	return r.Turn(d)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// lastLook finds the device and checks it once more, right before the start.
func lastLook(r Request, uuid string, devices []Device, err error) (Device, string) {
	if err != nil {
		return Device{}, err.Error()
	}
	i := slices.IndexFunc(devices, func(d Device) bool { return d.UUID == uuid })
	if i < 0 {
		return Device{}, "the driver no longer lists the device"
	}
	d := devices[i]
	if why := r.Config.obstacle(d, r.Need); why != "" {
		return Device{}, fmt.Sprintf("GPU %d %s", d.Index, why)
	}
	return d, ""
}

// wait samples the inventory until the gate gives a final verdict or ctx ends.
func wait(ctx context.Context, inventory Inventory, gate *Gate, report func(Verdict)) (Verdict, error) {
	tick := time.NewTicker(gate.Every())
	defer tick.Stop()
	for {
		devices, err := inventory.Devices(ctx)
		if ctx.Err() != nil {
			return Verdict{}, context.Cause(ctx)
		}
		v := gate.Sample(time.Now(), devices, err)
		report(v)
		if v.Result != Waiting {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return Verdict{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Prove checks once that the driver answers and lists a device. It is called before anything is stopped for a training,
// so that nothing is stopped in vain.
func Prove(ctx context.Context, inventory Inventory) error {
	devices, err := inventory.Devices(ctx)
	if err == nil && len(devices) == 0 {
		err = &ProbeError{FaultNoDriver, "the driver answers, but lists no GPU"}
	}
	return err
}
