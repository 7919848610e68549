//go:build cgo && linux

package nvml

import (
	"context"
	"fmt"
	"math"
	"slices"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/retraind/retraind/gpu"
)

// Inventory implements gpu.Inventory with the library that is installed on this host. Its zero value is ready for use; the
// library is loaded with the first question.
type Inventory struct {
	lib binding.Interface // nil: the host's
}

// Devices implements gpu.Inventory. Names of processes are left to who asked: only the daemon sees the host's /proc.
func (i Inventory) Devices(context.Context) ([]gpu.Device, error) {
	if i.lib == nil {
		i.lib = binding.New()
	}
	if ret := i.lib.Init(); ret != binding.SUCCESS {
		return nil, i.fault("begin", ret)
	}
	defer func() { _ = i.lib.Shutdown() }() // the child ends anyway
	count, ret := i.lib.DeviceGetCount()
	if ret != binding.SUCCESS {
		return nil, i.fault("count devices", ret)
	}
	devices := make([]gpu.Device, 0, count)
	for index := range count {
		handle, ret := i.lib.DeviceGetHandleByIndex(index)
		if ret != binding.SUCCESS {
			return nil, i.fault(fmt.Sprintf("open GPU %d", index), ret)
		}
		device, err := i.device(index, handle)
		if err != nil {
			return nil, err
		}
		devices = append(devices, device)
	}
	return devices, nil
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
	i.processes(&d, "compute", "nvmlDeviceGetComputeRunningProcesses", handle.GetComputeRunningProcesses)
	i.processes(&d, "graphics", "nvmlDeviceGetGraphicsRunningProcesses", handle.GetGraphicsRunningProcesses)
	return d, nil
}

// processes adds one list of processes. Old drivers do not have every list: they are looked up first, because calling what
// is not there ends the process.
func (i Inventory) processes(d *gpu.Device, kind, symbol string, list func() ([]binding.ProcessInfo, binding.Return)) {
	found := func(suffix string) bool { return i.lib.Extensions().LookupSymbol(symbol+suffix) == nil }
	if !slices.ContainsFunc([]string{"_v3", "_v2", ""}, found) {
		d.ProcessError = "the driver has no list of " + kind + " processes"
		return
	}
	infos, ret := list()
	if ret == binding.ERROR_NOT_SUPPORTED {
		d.ProcessError = "the device keeps no list of " + kind + " processes"
		return
	}
	if ret != binding.SUCCESS {
		d.ProcessError = "list " + kind + " processes: " + i.lib.ErrorString(ret)
		return
	}
	for _, info := range infos {
		pid := int(info.Pid)
		if slices.ContainsFunc(d.Processes, func(p gpu.Process) bool { return p.PID == pid }) {
			continue // a process that computes and draws is in both lists
		}
		used := gpu.Bytes(info.UsedGpuMemory)
		if info.UsedGpuMemory == math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
			used = gpu.Reading{State: gpu.Unsupported}
		}
		d.Processes = append(d.Processes, gpu.Process{PID: pid, Used: used})
	}
}

// fault names what kind of trouble a return code is.
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
