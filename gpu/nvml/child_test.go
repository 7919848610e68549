//go:build cgo && linux

package nvml_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/gpu/nvml"
	"github.com/retraind/retraind/internal/unit"
)

// childVar makes this test binary the probe's child, which is what `retraind gpu-probe` is to the daemon.
const childVar = "RETRAIND_TEST_GPU_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(gpu.Answer(context.Background(), os.Stdout, nvml.Inventory{}))
	}
	os.Exit(m.Run())
}

// fakeDriver compiles the stand-in for NVIDIA's library and returns a probe whose child loads it.
func fakeDriver(t *testing.T, mode string, flags ...string) *gpu.Probe {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	args := append([]string{"-shared", "-fPIC", "-o", filepath.Join(dir, "libnvidia-ml.so.1")}, flags...)
	if out, err := exec.Command(gcc, append(args, "testdata/fake-nvml.c")...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return probe(t, "LD_LIBRARY_PATH="+dir, "FAKE_NVML="+mode)
}

func probe(t *testing.T, env ...string) *gpu.Probe {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &gpu.Probe{
		Command: []string{self}, Env: append([]string{childVar + "=1"}, env...), Deadline: 20 * time.Second,
		Proc: fstest.MapFS{"4711/comm": {Data: []byte("ollama\n")}, "4711/cgroup": {Data: []byte("0::/system.slice/ollama.service\n")}},
	}
}

const gib = 1 << 30

func device() gpu.Device {
	return gpu.Device{
		UUID: "GPU-11111111-2222-3333-4444-555555555555", Name: "Fake RTX 4090",
		Total: gpu.Bytes(24 * gib), Used: gpu.Bytes(20 * gib), Free: gpu.Bytes(4 * gib),
		Processes: []gpu.Process{
			{PID: 4711, Used: gpu.Bytes(18 * gib), Name: "ollama", Holder: gpu.Holder{Unit: "ollama.service"}},
			{PID: 4712, Used: gpu.Reading{State: gpu.Unsupported}},
			{PID: 99, Used: gpu.Bytes(gib / 2)},
		},
	}
}

func TestRealChild(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, mode string
		flags      []string
		change     func(*gpu.Device)
	}{
		{"all well", "", nil, func(*gpu.Device) {}},
		{"unified memory", "unified", nil, func(d *gpu.Device) {
			d.Total, d.Used, d.Free = gpu.Reading{State: gpu.Unsupported}, gpu.Reading{State: gpu.Unsupported}, gpu.Reading{State: gpu.Unsupported}
		}},
		{"memory refused", "unknown", nil, func(d *gpu.Device) {
			refused := gpu.Reading{State: gpu.Failed, Detail: "Unknown Error"}
			d.Total, d.Used, d.Free = refused, refused, refused
		}},
		{"no process lists", "", []string{"-DWITHOUT_PROCESSES"}, func(d *gpu.Device) {
			d.Processes, d.ProcessError = []gpu.Process{}, "the driver has no list of graphics processes"
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := fakeDriver(t, tc.mode, tc.flags...).Devices(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := device()
			tc.change(&want)
			if diff := cmp.Diff([]gpu.Device{want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRealChildFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, mode string
		flags      []string
		fault      gpu.Fault
		text       string
	}{
		{"driver not loaded", "nodriver", nil, gpu.FaultNoDriver, "Driver Not Loaded"},
		{"driver updated, not yet rebooted", "mismatch", nil, gpu.FaultMismatch, "a reboot is needed"},
		{"device lost", "lost", nil, gpu.FaultLost, "GPU is lost"},
		{"function missing ends the child, not us", "", []string{"-DWITHOUT_MEMORY"}, gpu.FaultMismatch, "nvmlDeviceGetMemoryInfo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := fakeDriver(t, tc.mode, tc.flags...).Devices(t.Context())
			var probe *gpu.ProbeError
			if !errors.As(err, &probe) || probe.Fault != tc.fault || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %#v, want %s with %q", err, tc.fault, tc.text)
			}
		})
	}
}

func TestRealChildHangs(t *testing.T) {
	t.Parallel()
	p := fakeDriver(t, "hang")
	p.Deadline = time.Second
	_, err := p.Devices(t.Context())
	var probe *gpu.ProbeError
	if !errors.As(err, &probe) || probe.Fault != gpu.FaultHang {
		t.Errorf("got %v, want a hang", err)
	}
}

// Without the library there is a fault, not an empty list: a machine whose driver is gone does not look like one with no GPU.
func TestRealChildWithoutLibrary(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/driver/nvidia"); err == nil {
		t.Skip("this machine has NVIDIA's driver")
	}
	_, err := probe(t).Devices(t.Context())
	var fault *gpu.ProbeError
	if !errors.As(err, &fault) || fault.Fault != gpu.FaultNoDriver {
		t.Errorf("got %#v, want no_driver", err)
	}
}

// The gate over the real child: the fake device never has enough, and the holder is named.
func TestGateOverRealChild(t *testing.T) {
	t.Parallel()
	config := gpu.Config{Free: 20 * gib, StableFor: unit.Duration(100 * time.Millisecond), Wait: unit.Duration(500 * time.Millisecond)}
	v, err := gpu.Wait(t.Context(), fakeDriver(t, ""), config, nil)
	if err != nil || v.Result != gpu.Shut || !strings.Contains(v.Text, "held by ollama of ollama.service, pid 4711, 18.0 GiB") {
		t.Errorf("got %+v, %v", v, err)
	}
}
