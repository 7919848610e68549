//go:build !cgo || !linux

package nvml

import (
	"context"

	"github.com/retraind/retraind/gpu"
)

// Inventory stands for the library in a binary that was built without it.
type Inventory struct{}

// Devices implements gpu.Inventory.
func (Inventory) Devices(context.Context) ([]gpu.Device, error) {
	return nil, &gpu.ProbeError{
		Fault:  gpu.FaultNotBuilt,
		Detail: "this retraind was built without cgo and cannot use NVIDIA's library: build it with gcc installed",
	}
}
