//go:build cgo && linux

package nvml

import (
	"math"
	"slices"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/retraind/retraind/gpu"
)

// has reports whether the installed library has at least one of the functions. Optional functions are looked up before
// a call: calling a missing one ends the process.
func (i Inventory) has(symbols ...string) bool {
	return slices.ContainsFunc(symbols, func(s string) bool { return i.lib.Extensions().LookupSymbol(s) == nil })
}

// figures reads the values that the gate does not need.
func (i Inventory) figures(d *gpu.Device, handle binding.Device) {
	none := gpu.Figure{State: gpu.Unsupported}
	d.Utilization, d.Temperature = none, none
	if i.has("nvmlDeviceGetUtilizationRates") {
		rates, ret := handle.GetUtilizationRates()
		d.Utilization = i.figure(int(rates.Gpu), ret)
	}
	if i.has("nvmlDeviceGetTemperature") {
		degrees, ret := handle.GetTemperature(binding.TEMPERATURE_GPU)
		d.Temperature = i.figure(int(degrees), ret)
	}
}

func (i Inventory) figure(value int, ret binding.Return) gpu.Figure {
	switch ret {
	case binding.SUCCESS:
		return gpu.Number(value)
	case binding.ERROR_NOT_SUPPORTED, binding.ERROR_INVALID_ARGUMENT: // MIG instances return ERROR_INVALID_ARGUMENT
		return gpu.Figure{State: gpu.Unsupported}
	default:
		return gpu.Figure{State: gpu.Failed, Detail: i.lib.ErrorString(ret)}
	}
}

// processes adds the processes of one kind. If their list cannot be read, it records why the device's list is
// incomplete.
func (i Inventory) processes(d *gpu.Device, kind, symbol string, list func() ([]binding.ProcessInfo, binding.Return)) {
	if !i.has(symbol+"_v3", symbol+"_v2", symbol) {
		unlisted(d, gpu.Unsupported, "the driver has no list of "+kind+" processes")
		return
	}
	infos, ret := list()
	switch {
	case ret == binding.ERROR_NOT_SUPPORTED:
		unlisted(d, gpu.Unsupported, "the device does not list its "+kind+" processes")
		return
	case ret != binding.SUCCESS:
		unlisted(d, gpu.Failed, "list "+kind+" processes: "+i.lib.ErrorString(ret))
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
		d.Processes = append(d.Processes, gpu.Process{PID: pid, Used: used, Graphics: kind == "graphics"})
	}
}

// unlisted records why the device's list is incomplete. A list that could not be read takes precedence over one that the
// device does not keep: the device may be in use.
func unlisted(d *gpu.Device, state gpu.State, why string) {
	if d.ProcessState != gpu.Failed {
		d.ProcessState, d.ProcessError = state, why
	}
}
