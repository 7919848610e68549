package gpu

import (
	"context"
	"time"
)

// Wait asks the inventory until the gate gives its final verdict, Open or Shut, or ctx ends. report is told every verdict
// whose result or text is new; it may be nil.
func Wait(ctx context.Context, inventory Inventory, config Config, report func(Verdict)) (Verdict, error) {
	gate := NewGate(config, time.Now())
	tick := time.NewTicker(gate.Every())
	defer tick.Stop()
	var last Verdict
	for {
		devices, err := inventory.Devices(ctx)
		if ctx.Err() != nil {
			return Verdict{}, context.Cause(ctx)
		}
		v := gate.Sample(time.Now(), devices, err)
		if report != nil && (v.Result != last.Result || v.Text != last.Text) {
			report(v)
		}
		if last = v; v.Result != Waiting {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return Verdict{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
