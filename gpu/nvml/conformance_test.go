//go:build cgo && linux

package nvml

import (
	"errors"
	"strings"
	"testing"
	"time"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
)

// busy returns the card that every backend shows: 20 of 24 GiB are in use, most of them by Ollama. The mock is called
// directly, without the names from /proc.
func busy(named bool) gpu.Device {
	d := gpu.Device{
		UUID: uuid, Name: "Fake RTX 4090", Total: gpu.Bytes(24 * gib), Used: gpu.Bytes(20 * gib), Free: gpu.Bytes(4 * gib),
		Utilization: gpu.Number(93), Temperature: gpu.Number(64),
		Processes: []gpu.Process{
			{PID: 4711, Used: gpu.Bytes(18 * gib)},
			{PID: 4712, Used: gpu.Reading{State: gpu.Unsupported}},
			{PID: 99, Used: gpu.Bytes(gib / 2), Graphics: true},
		},
	}
	if named {
		d.Processes[0].Name, d.Processes[0].Unit = "ollama", "ollama.service"
		d.Processes[1].Name, d.Processes[2].Name = "python3", "Xorg"
	}
	return d
}

// situation is one state of a driver, for each backend that can produce it; nil for the others.
type situation struct {
	name                  string
	mock, library, script gpu.Inventory
	device                func(d *gpu.Device) // difference from the card of busy
	fault                 gpu.Fault           // or the expected fault
	text                  string              // part of the fault's text
}

func situations(t *testing.T) []situation {
	t.Helper()
	same := func(*gpu.Device) {}
	memory := func(state gpu.State) func(*gpu.Device) {
		return func(d *gpu.Device) {
			r := gpu.Reading{State: state}
			d.Total, d.Used, d.Free = r, r, r
		}
	}
	unlisted := func(state gpu.State) func(*gpu.Device) {
		return func(d *gpu.Device) { d.ProcessState = state }
	}
	quick := func(p *gpu.Probe) *gpu.Probe {
		p.Deadline = time.Second
		return p
	}
	none := []string{"24576 MiB", "N/A", "20480 MiB", "N/A", "4096 MiB", "N/A"}
	odd := []string{"24576 MiB", "[Unknown Error]", "20480 MiB", "[Unknown Error]", "4096 MiB", "[Unknown Error]"}
	return []situation{
		{name: "busy", mock: mocked(lacks("-")), library: library(t, ""), script: program(t, printed(t)), device: same},
		{
			name:    "memory not supported",
			mock:    mocked(refuses(binding.ERROR_NOT_SUPPORTED)),
			library: library(t, "silent"),
			script:  program(t, printed(t, none...)),
			device:  memory(gpu.Unsupported),
		},
		{
			name:    "memory refused",
			mock:    mocked(refuses(binding.ERROR_UNKNOWN)),
			library: library(t, "unknown"),
			script:  program(t, printed(t, odd...)),
			device:  memory(gpu.Failed),
		},
		{
			name:    "list refused",
			mock:    mocked(lists(binding.ERROR_NO_PERMISSION)),
			library: library(t, "denied", "-DWITHOUT_FIGURES"),
			device:  unlisted(gpu.Failed),
		},
		{name: "one list refused, the other not supported", mock: mocked(func(lib *mock.Interface, card *mock.Device) {
			lists(binding.ERROR_UNKNOWN)(lib, card)
			card.GetGraphicsRunningProcessesFunc = func() ([]binding.ProcessInfo, binding.Return) {
				return nil, binding.ERROR_NOT_SUPPORTED
			}
		}), device: unlisted(gpu.Failed)},
		{name: "list not supported", mock: mocked(lists(binding.ERROR_NOT_SUPPORTED)), device: unlisted(gpu.Unsupported)},
		{
			name:    "driver without lists",
			mock:    mocked(lacks("Processes")),
			library: library(t, "", "-DWITHOUT_PROCESSES"),
			device:  unlisted(gpu.Unsupported),
		},
		{
			name:   "driver without figures",
			mock:   mocked(lacks("nvmlDeviceGetUtilizationRates")),
			device: func(d *gpu.Device) { d.Utilization = gpu.Figure{State: gpu.Unsupported} },
		},

		{
			name: "driver not loaded", mock: mocked(begins(binding.ERROR_DRIVER_NOT_LOADED)),
			library: library(t, "nodriver"), fault: gpu.FaultNoDriver, text: "river",
			script: program(
				t,
				"echo NVIDIA-SMI has failed because it couldn\\'t communicate with the NVIDIA driver. Make sure it is running.; exit 9",
			),
		},
		{
			name: "driver updated, not yet rebooted", mock: mocked(begins(binding.ERROR_LIB_RM_VERSION_MISMATCH)),
			library: library(t, "mismatch"), fault: gpu.FaultMismatch, text: "a reboot is needed",
			script: program(t, "echo Failed to initialize NVML: Driver/library version mismatch; exit 18"),
		},
		{
			name: "lost", mock: mocked(refuses(binding.ERROR_GPU_IS_LOST)),
			library: library(t, "lost"), fault: gpu.FaultLost, text: "GPU is lost",
			script: program(t, "echo Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost. >&2; exit 15"),
		},
		{
			name:    "hung",
			library: quick(library(t, "hang")),
			script:  quick(program(t, "sleep 1000")),
			fault:   gpu.FaultHang,
			text:    "no answer within 1s",
		},
		{name: "crashes", library: library(t, "crash"), script: program(t, "kill -SEGV $$"), fault: gpu.FaultCrash},
		{
			name:    "function missing",
			library: library(t, "", "-DWITHOUT_MEMORY"),
			fault:   gpu.FaultMismatch,
			text:    "nvmlDeviceGetMemoryInfo",
		},
		{
			name:  "nothing installed",
			mock:  mocked(begins(binding.ERROR_LIBRARY_NOT_FOUND)),
			fault: gpu.FaultNoDriver,
			text:  "is not installed",
		},
		{
			name:   "no such program",
			script: self(t, "smi", "PATH=/nonexistent"),
			fault:  gpu.FaultNotBuilt,
			text:   "built without cgo",
		},
		{
			name:   "nonsense",
			script: program(t, "echo GPU 0 is fine"),
			fault:  gpu.FaultFailed,
			text:   "read the output of nvidia-smi",
		},
	}
}

// TestConformance gives each backend the same driver state: all of them must return the same.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, s := range situations(t) {
		for backend, inventory := range map[string]gpu.Inventory{"mock": s.mock, "library": s.library, "nvidia-smi": s.script} {
			if inventory == nil {
				continue
			}
			t.Run(s.name+"/"+backend, func(t *testing.T) {
				t.Parallel()
				devices, err := inventory.Devices(t.Context())
				if s.fault != "" {
					var probe *gpu.ProbeError
					if !errors.As(err, &probe) || probe.Fault != s.fault || !strings.Contains(err.Error(), s.text) || devices != nil {
						t.Errorf("got %v, %#v; want %s with %q", devices, err, s.fault, s.text)
					}
					return
				}
				if err != nil || len(devices) != 1 {
					t.Fatalf("got %v, %v", devices, err)
				}
				want := busy(backend != "mock")
				s.device(&want)
				checkDevice(t, want, devices[0])
			})
		}
	}
}

// checkDevice compares everything but the text of refusals, which differs by backend and must not be empty.
func checkDevice(t *testing.T, want, got gpu.Device) {
	t.Helper()
	for _, r := range []*gpu.Reading{&got.Total, &got.Used, &got.Free} {
		if r.State == gpu.Failed && !strings.Contains(r.Detail, "Unknown Error") {
			t.Errorf("a refusal says %q", r.Detail)
		}
		r.Detail = ""
	}
	if want.ProcessState != "" {
		if got.ProcessState != want.ProcessState || got.ProcessError == "" {
			t.Errorf("the list is %q because %q, want %q", got.ProcessState, got.ProcessError, want.ProcessState)
		}
		return // the rest of the list differs
	}
	if want.Utilization.State != gpu.Known {
		got.Utilization.Detail = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
