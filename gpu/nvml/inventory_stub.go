//go:build !cgo || !linux

package nvml

import (
	"context"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/gpu/nvidiasmi"
)

// Inventory replaces the library in a binary that was built without it: it runs the program nvidia-smi.
type Inventory struct{}

// Devices implements gpu.Inventory.
func (Inventory) Devices(ctx context.Context) ([]gpu.Device, error) {
	return nvidiasmi.Inventory{}.Devices(ctx)
}

// Xids implements gpu.XidReader. It always fails, because nvidia-smi reports no errors.
func (Inventory) Xids(context.Context, string, func(gpu.Xid)) error {
	return &gpu.ProbeError{
		Fault:  gpu.FaultNotBuilt,
		Detail: "this retraind was built without cgo: it cannot read errors of the GPU (Xid)",
	}
}
