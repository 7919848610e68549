//go:build cgo && linux

package nvml

import (
	"fmt"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/retraind/retraind/gpu"
)

// instances lists the MIG instances of a GPU as separate devices, and marks the GPU as split if it is in MIG mode.
// Drivers without MIG have none of the functions; GPUs without MIG answer "not supported".
func (i Inventory) instances(whole *gpu.Device, handle binding.Device) ([]gpu.Device, error) {
	if !i.has("nvmlDeviceGetMigMode") || !i.has("nvmlDeviceGetMaxMigDeviceCount") ||
		!i.has("nvmlDeviceGetMigDeviceHandleByIndex") {
		return nil, nil
	}
	if mode, _, ret := handle.GetMigMode(); ret == binding.ERROR_NOT_SUPPORTED ||
		ret == binding.SUCCESS && mode != binding.DEVICE_MIG_ENABLE {
		return nil, nil
	} else if ret != binding.SUCCESS {
		return nil, i.fault(fmt.Sprintf("read the MIG mode of GPU %d", whole.Index), ret)
	}
	whole.Split = true
	count, ret := handle.GetMaxMigDeviceCount()
	if ret != binding.SUCCESS {
		return nil, i.fault(fmt.Sprintf("count MIG instances of GPU %d", whole.Index), ret)
	}
	var parts []gpu.Device
	for n := range count {
		part, ret := handle.GetMigDeviceHandleByIndex(n)
		if ret == binding.ERROR_NOT_FOUND || ret == binding.ERROR_INVALID_ARGUMENT {
			continue // no instance in this slot
		}
		if ret != binding.SUCCESS {
			return nil, i.fault(fmt.Sprintf("open MIG instance %d of GPU %d", n, whole.Index), ret)
		}
		d, err := i.device(whole.Index, part)
		if err != nil {
			return nil, err
		}
		d.Parent = whole.UUID
		parts = append(parts, d)
	}
	return parts, nil
}
