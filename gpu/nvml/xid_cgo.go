//go:build cgo && linux

package nvml

import (
	"context"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/retraind/retraind/gpu"
)

// waitMillis is how long one wait for an error lasts; ctx is checked between two waits.
const waitMillis = 1000

// Xids implements gpu.XidReader. The library reports errors from the registration on, and none before.
func (i Inventory) Xids(ctx context.Context, uuid string, report func(gpu.Xid)) error {
	lib, err := i.open()
	if err != nil {
		return err
	}
	i.lib = lib
	if !i.has("nvmlEventSetCreate") || !i.has("nvmlDeviceRegisterEvents") ||
		!i.has("nvmlEventSetWait_v2", "nvmlEventSetWait") {
		return &gpu.ProbeError{Fault: gpu.FaultMismatch, Detail: "the installed driver cannot report errors of the GPU (Xid)"}
	}
	handle, ret := lib.DeviceGetHandleByUUID(uuid)
	if ret != binding.SUCCESS {
		return i.fault("open GPU "+uuid, ret)
	}
	set, ret := lib.EventSetCreate()
	if ret != binding.SUCCESS {
		return i.fault("wait for errors", ret)
	}
	if ret := handle.RegisterEvents(binding.EventTypeXidCriticalError, set); ret != binding.SUCCESS {
		return i.fault("wait for errors of GPU "+uuid, ret)
	}
	for ctx.Err() == nil {
		event, ret := set.Wait(waitMillis)
		switch ret {
		case binding.SUCCESS:
			report(gpu.Xid(event.EventData))
		case binding.ERROR_TIMEOUT:
		default:
			return i.fault("wait for errors of GPU "+uuid, ret)
		}
	}
	return nil
}
