//go:build cgo && linux

package nvml

import (
	"errors"
	"testing"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
)

// twoCards is a library with two devices, of which a test may change the second.
func twoCards(second *mock.Device) *mock.Interface {
	first := card("GPU-a", 30<<30)
	return &mock.Interface{
		InitFunc:           func() binding.Return { return binding.SUCCESS },
		ShutdownFunc:       func() binding.Return { return binding.SUCCESS },
		ErrorStringFunc:    func(r binding.Return) string { return "return code " + string(rune('0'+int(r)%10)) },
		DeviceGetCountFunc: func() (int, binding.Return) { return 2, binding.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (binding.Device, binding.Return) {
			return []binding.Device{first, second}[i], binding.SUCCESS
		},
		ExtensionsFunc: func() binding.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(string) error { return nil }}
		},
	}
}

func card(uuid string, free uint64) *mock.Device {
	return &mock.Device{
		GetUUIDFunc: func() (string, binding.Return) { return uuid, binding.SUCCESS },
		GetNameFunc: func() (string, binding.Return) { return "H200", binding.SUCCESS },
		GetMemoryInfoFunc: func() (binding.Memory, binding.Return) {
			return binding.Memory{Total: 140 << 30, Free: free, Used: 140<<30 - free}, binding.SUCCESS
		},
		GetComputeRunningProcessesFunc: func() ([]binding.ProcessInfo, binding.Return) {
			return []binding.ProcessInfo{{Pid: 7, UsedGpuMemory: 1 << 30}}, binding.SUCCESS
		},
		GetGraphicsRunningProcessesFunc: func() ([]binding.ProcessInfo, binding.Return) { return nil, binding.SUCCESS },
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	got, err := Inventory{lib: twoCards(card("GPU-b", 60<<30))}.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holder := []gpu.Process{{PID: 7, Used: gpu.Bytes(1 << 30)}}
	want := []gpu.Device{
		{Index: 0, UUID: "GPU-a", Name: "H200", Total: gpu.Bytes(140 << 30), Used: gpu.Bytes(110 << 30), Free: gpu.Bytes(30 << 30), Processes: holder},
		{Index: 1, UUID: "GPU-b", Name: "H200", Total: gpu.Bytes(140 << 30), Used: gpu.Bytes(80 << 30), Free: gpu.Bytes(60 << 30), Processes: holder},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListOfProcessesMayBeMissing(t *testing.T) {
	t.Parallel()
	for ret, want := range map[binding.Return]string{
		binding.ERROR_NOT_SUPPORTED: "the device keeps no list of compute processes",
		binding.ERROR_NO_PERMISSION: "list compute processes: return code 4",
	} {
		second := card("GPU-b", 60<<30)
		second.GetComputeRunningProcessesFunc = func() ([]binding.ProcessInfo, binding.Return) { return nil, ret }
		got, err := Inventory{lib: twoCards(second)}.Devices(t.Context())
		if err != nil || len(got) != 2 || got[1].ProcessError != want {
			t.Errorf("%d: got %+v, %v; want %q", ret, got, err, want)
		}
	}
}

// One device of two that cannot be asked is no answer at all: what it holds is not known.
func TestNoHalfAnswers(t *testing.T) {
	t.Parallel()
	lost := card("GPU-b", 60<<30)
	lost.GetMemoryInfoFunc = func() (binding.Memory, binding.Return) { return binding.Memory{}, binding.ERROR_GPU_IS_LOST }
	nameless := card("GPU-b", 60<<30)
	nameless.GetUUIDFunc = func() (string, binding.Return) { return "", binding.ERROR_GPU_IS_LOST }
	for name, second := range map[string]*mock.Device{"memory": lost, "uuid": nameless} {
		got, err := Inventory{lib: twoCards(second)}.Devices(t.Context())
		var probe *gpu.ProbeError
		if !errors.As(err, &probe) || probe.Fault != gpu.FaultLost || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}
