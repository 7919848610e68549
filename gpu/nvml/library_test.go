//go:build cgo && linux

package nvml

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

// Each MIG instance is a separate device: trainings name it, lease it and use its memory.
func TestInstances(t *testing.T) {
	t.Parallel()
	devices, err := library(t, "mig").Devices(t.Context())
	if err != nil || len(devices) != 3 {
		t.Fatalf("got %v, %v", devices, err)
	}
	if !devices[0].Split || devices[0].UUID != uuid {
		t.Errorf("the GPU: %+v", devices[0])
	}
	for i, want := range []string{"MIG-11111111-0000-3333-4444-555555555555", "MIG-11111111-1111-3333-4444-555555555555"} {
		d := devices[i+1]
		if d.UUID != want || d.Parent != uuid || d.Free != gpu.Bytes(11*gib) || d.Utilization.State != gpu.Unsupported ||
			d.Temperature.State != gpu.Unsupported {
			t.Errorf("instance %d: %+v", i, d)
		}
	}
}

func TestUnifiedMemory(t *testing.T) {
	t.Parallel()
	devices, err := library(t, "unified").Devices(t.Context())
	if err != nil || len(devices) != 1 {
		t.Fatalf("got %v, %v", devices, err)
	}
	if d := devices[0]; !d.Unified || d.Free != gpu.Bytes(100*gib) || d.Used.State == gpu.Known {
		t.Errorf("got %+v; the host has 100 GiB left, and one process does not say what it uses", d)
	}
}

// If one of two devices cannot be queried, the whole query fails: its holders are unknown.
func TestNoHalfAnswers(t *testing.T) {
	t.Parallel()
	lost, nameless := mockedCard(), mockedCard()
	lost.GetMemoryInfoFunc = func() (binding.Memory, binding.Return) { return binding.Memory{}, binding.ERROR_GPU_IS_LOST }
	nameless.GetUUIDFunc = func() (string, binding.Return) { return "", binding.ERROR_GPU_IS_LOST }
	for name, second := range map[string]*mock.Device{"memory": lost, "uuid": nameless} {
		got, err := mocked(func(lib *mock.Interface, first *mock.Device) {
			lib.DeviceGetCountFunc = func() (int, binding.Return) { return 2, binding.SUCCESS }
			lib.DeviceGetHandleByIndexFunc = func(i int) (binding.Device, binding.Return) {
				return []binding.Device{first, second}[i], binding.SUCCESS
			}
		}).Devices(t.Context())
		var probe *gpu.ProbeError
		if !errors.As(err, &probe) || probe.Fault != gpu.FaultLost || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// A missing library is a fault, not an empty list: a machine whose driver is gone must not look like one without a
// GPU.
func TestWithoutLibrary(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/driver/nvidia"); err == nil {
		t.Skip("this machine has NVIDIA's driver")
	}
	_, err := self(t, "probe").Devices(t.Context())
	var fault *gpu.ProbeError
	if !errors.As(err, &fault) || fault.Fault != gpu.FaultNoDriver {
		t.Errorf("got %#v, want no_driver", err)
	}
}

// The card fills up while the gate samples: a device that was free a moment ago is not free now.
func TestFillingUp(t *testing.T) {
	t.Parallel()
	p := library(t, "")
	state := filepath.Join(t.TempDir(), "state")
	p.Env = append(p.Env, "FAKE_NVML_STATE="+state)
	for _, tc := range []struct {
		state string
		want  []gpu.Process
		free  uint64
	}{
		{"used 0\n", []gpu.Process{}, 24 * gib},
		{"used 8192\ncompute 4712 8192\n", []gpu.Process{{PID: 4712, Name: "python3", Used: gpu.Bytes(8 * gib)}}, 16 * gib},
		{
			"used 24576\ncompute 4712 24064\ngraphics 99 512\n", []gpu.Process{
				{PID: 4712, Name: "python3", Used: gpu.Bytes(23*gib + gib/2)},
				{PID: 99, Name: "Xorg", Graphics: true, Used: gpu.Bytes(gib / 2)},
			}, 0,
		},
	} {
		if err := os.WriteFile(state, []byte(tc.state), 0o600); err != nil {
			t.Fatal(err)
		}
		devices, err := p.Devices(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, devices[0].Processes); diff != "" || devices[0].Free.Size != unit.Size(tc.free) {
			t.Errorf("%q: %s free; %s", tc.state, devices[0].Free, diff)
		}
	}
}

// The gate over the real child: the fake device never has enough memory, and the verdict names the holder.
func TestGateOverLibrary(t *testing.T) {
	t.Parallel()
	config := gpu.Config{
		Free:      20 * gib,
		StableFor: unit.Duration(100 * time.Millisecond),
		Wait:      unit.Duration(500 * time.Millisecond),
	}
	grant, v, err := gpu.Acquire(
		t.Context(),
		gpu.Request{Inventory: library(t, ""), Leases: gpu.Leases{Dir: t.TempDir()}, Config: config},
	)
	if err != nil || grant != nil || v.Result != gpu.Shut ||
		!strings.Contains(v.Text, "held by ollama of ollama.service, pid 4711, 18.0 GiB") {
		t.Errorf("got %+v, %v", v, err)
	}
}
