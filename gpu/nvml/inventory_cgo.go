//go:build cgo && linux

package nvml

import (
	"context"
	"fmt"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/retraind/retraind/gpu"
)

// Inventory implements gpu.Inventory with the library that is installed on this host. Its zero value is ready for use;
// each query loads the library.
type Inventory struct {
	lib binding.Interface // nil: the host's
}

// Devices implements gpu.Inventory. It leaves the names of processes to the daemon, which sees the host's /proc.
func (i Inventory) Devices(context.Context) ([]gpu.Device, error) {
	lib, err := i.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = lib.Shutdown() }() // the child ends anyway
	i.lib = lib
	count, ret := lib.DeviceGetCount()
	if ret != binding.SUCCESS {
		return nil, i.fault("count devices", ret)
	}
	devices := make([]gpu.Device, 0, count)
	for index := range count {
		handle, ret := lib.DeviceGetHandleByIndex(index)
		if ret != binding.SUCCESS {
			return nil, i.fault(fmt.Sprintf("open GPU %d", index), ret)
		}
		whole, err := i.device(index, handle)
		if err != nil {
			return nil, err
		}
		parts, err := i.instances(&whole, handle)
		if err != nil {
			return nil, err
		}
		devices = append(append(devices, whole), parts...)
	}
	return devices, nil
}

// open loads and initialises the library.
func (i Inventory) open() (binding.Interface, error) {
	if i.lib == nil {
		i.lib = binding.New()
	}
	if ret := i.lib.Init(); ret != binding.SUCCESS {
		return nil, i.fault("begin", ret)
	}
	return i.lib, nil
}

func (i Inventory) device(index int, handle binding.Device) (gpu.Device, error) {
	d := gpu.Device{Index: index, Processes: []gpu.Process{}}
	uuid, ret := handle.GetUUID()
	if ret != binding.SUCCESS {
		return d, i.fault(fmt.Sprintf("read UUID of GPU %d", index), ret)
	}
	d.UUID = uuid
	if name, ret := handle.GetName(); ret == binding.SUCCESS {
		d.Name = name // a device without a name is still a device
	}
	memory, ret := handle.GetMemoryInfo()
	switch ret {
	case binding.SUCCESS:
		d.Total, d.Used, d.Free = gpu.Bytes(memory.Total), gpu.Bytes(memory.Used), gpu.Bytes(memory.Free)
	case binding.ERROR_NOT_SUPPORTED:
		none := gpu.Reading{State: gpu.Unsupported}
		d.Total, d.Used, d.Free = none, none, none
	case binding.ERROR_GPU_IS_LOST:
		return d, i.fault(fmt.Sprintf("read memory of GPU %d", index), ret)
	default:
		none := gpu.Reading{State: gpu.Failed, Detail: i.lib.ErrorString(ret)}
		d.Total, d.Used, d.Free = none, none, none
	}
	i.figures(&d, handle)
	i.processes(&d, "compute", "nvmlDeviceGetComputeRunningProcesses", handle.GetComputeRunningProcesses)
	i.processes(&d, "graphics", "nvmlDeviceGetGraphicsRunningProcesses", handle.GetGraphicsRunningProcesses)
	return d, nil
}

// fault maps a return code to a fault.
func (i Inventory) fault(op string, ret binding.Return) error {
	e := &gpu.ProbeError{Fault: gpu.FaultFailed, Detail: op + ": " + i.lib.ErrorString(ret)}
	switch ret {
	case binding.ERROR_LIBRARY_NOT_FOUND:
		e.Fault, e.Detail = gpu.FaultNoDriver, "NVIDIA's library (libnvidia-ml.so.1) is not installed"
	case binding.ERROR_DRIVER_NOT_LOADED:
		e.Fault = gpu.FaultNoDriver
	case binding.ERROR_LIB_RM_VERSION_MISMATCH, binding.ERROR_FUNCTION_NOT_FOUND:
		e.Fault = gpu.FaultMismatch
		e.Detail += " (library and kernel driver differ: a reboot is needed)"
	case binding.ERROR_GPU_IS_LOST:
		e.Fault = gpu.FaultLost
		e.Detail += " (a reboot is needed)"
	}
	return e
}
