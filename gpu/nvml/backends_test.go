//go:build cgo && linux

package nvml

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	binding "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/gpu/nvidiasmi"
	"github.com/retraind/retraind/internal/waittest"
)

// childVar makes this test binary a child of the probe: "probe" and "xid" use the library as `retraind gpu-probe` and
// `retraind gpu-xid` do, "smi" uses nvidia-smi as a binary without cgo does.
const childVar = "RETRAIND_TEST_GPU"

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "":
		os.Exit(m.Run())
	case "smi":
		os.Exit(gpu.Answer(context.Background(), os.Stdout, nvidiasmi.Inventory{}))
	case "xid":
		os.Exit(gpu.AnswerXids(os.Stdin, os.Stdout, os.Stderr, Inventory{}, os.Args[1]))
	default:
		os.Exit(gpu.Answer(context.Background(), os.Stdout, Inventory{}))
	}
}

// self returns a probe whose child is this binary.
func self(t testing.TB, role string, env ...string) *gpu.Probe {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	proc := fstest.MapFS{"meminfo": {Data: []byte("MemTotal: 125829120 kB\nMemAvailable: 104857600 kB\n")}}
	for pid, comm := range map[string]string{"4711": "ollama", "4712": "python3", "99": "Xorg"} {
		proc[pid+"/comm"] = &fstest.MapFile{Data: []byte(comm + "\n")}
	}
	proc["4711/cgroup"] = &fstest.MapFile{Data: []byte("0::/system.slice/ollama.service\n")}
	return &gpu.Probe{
		Command:  []string{path},
		Env:      append([]string{childVar + "=" + role}, env...),
		Deadline: waittest.Patience,
		Proc:     proc,
	}
}

// fakeLibrary compiles the replacement of NVIDIA's library and returns its directory.
func fakeLibrary(t testing.TB, flags ...string) string {
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
	if out, err := exec.Command(gcc, append(args, "../../testdata/fake-nvml.c")...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return dir
}

func library(t testing.TB, mode string, flags ...string) *gpu.Probe {
	return self(t, "probe", "LD_LIBRARY_PATH="+fakeLibrary(t, flags...), "FAKE_NVML="+mode)
}

// program returns a probe with a shell script in place of nvidia-smi.
func program(t *testing.T, script string) *gpu.Probe {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return self(t, "smi", "PATH="+dir+":/usr/bin:/bin")
}

// printed returns the output of nvidia-smi for the busy card, with some replacements.
func printed(t *testing.T, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/nvidia-smi.xml")
	if err != nil {
		t.Fatal(err)
	}
	return "cat <<'EOF'\n" + strings.NewReplacer(replace...).Replace(string(text)) + "EOF"
}

// mocked returns the binding's mock with the same card; a test may replace its functions.
func mocked(change func(lib *mock.Interface, card *mock.Device)) gpu.Inventory {
	card := mockedCard()
	lib := &mock.Interface{
		InitFunc:                   func() binding.Return { return binding.SUCCESS },
		ShutdownFunc:               func() binding.Return { return binding.SUCCESS },
		ErrorStringFunc:            func(r binding.Return) string { return errorTexts[r] },
		DeviceGetCountFunc:         func() (int, binding.Return) { return 1, binding.SUCCESS },
		DeviceGetHandleByIndexFunc: func(int) (binding.Device, binding.Return) { return card, binding.SUCCESS },
		ExtensionsFunc: func() binding.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(string) error { return nil }}
		},
	}
	change(lib, card)
	return Inventory{lib: lib}
}

var errorTexts = map[binding.Return]string{
	binding.ERROR_DRIVER_NOT_LOADED: "Driver Not Loaded", binding.ERROR_LIB_RM_VERSION_MISMATCH: "Driver/library version mismatch",
	binding.ERROR_GPU_IS_LOST: "GPU is lost", binding.ERROR_UNKNOWN: "Unknown Error", binding.ERROR_NO_PERMISSION: "Insufficient Permissions",
}

func mockedCard() *mock.Device {
	return &mock.Device{
		GetUUIDFunc: func() (string, binding.Return) { return uuid, binding.SUCCESS },
		GetNameFunc: func() (string, binding.Return) { return "Fake RTX 4090", binding.SUCCESS },
		GetMemoryInfoFunc: func() (binding.Memory, binding.Return) {
			return binding.Memory{Total: 24 * gib, Free: 4 * gib, Used: 20 * gib}, binding.SUCCESS
		},
		GetUtilizationRatesFunc: func() (binding.Utilization, binding.Return) {
			return binding.Utilization{Gpu: 93}, binding.SUCCESS
		},
		GetTemperatureFunc: func(binding.TemperatureSensors) (uint32, binding.Return) { return 64, binding.SUCCESS },
		GetMigModeFunc:     func() (int, int, binding.Return) { return 0, 0, binding.ERROR_NOT_SUPPORTED },
		GetComputeRunningProcessesFunc: func() ([]binding.ProcessInfo, binding.Return) {
			return []binding.ProcessInfo{
				{Pid: 4711, UsedGpuMemory: 18 * gib},
				{Pid: 4712, UsedGpuMemory: 1<<64 - 1},
			}, binding.SUCCESS
		},
		GetGraphicsRunningProcessesFunc: func() ([]binding.ProcessInfo, binding.Return) {
			return []binding.ProcessInfo{
				{Pid: 4711, UsedGpuMemory: 18 * gib},
				{Pid: 99, UsedGpuMemory: gib / 2},
			}, binding.SUCCESS
		},
	}
}

const (
	gib  = 1 << 30
	uuid = "GPU-11111111-2222-3333-4444-555555555555"
)

// refuses makes one function of the mocked library return a code.
func refuses(code binding.Return) func(*mock.Interface, *mock.Device) {
	return func(_ *mock.Interface, card *mock.Device) {
		card.GetMemoryInfoFunc = func() (binding.Memory, binding.Return) { return binding.Memory{}, code }
	}
}

func begins(code binding.Return) func(*mock.Interface, *mock.Device) {
	return func(lib *mock.Interface, _ *mock.Device) { lib.InitFunc = func() binding.Return { return code } }
}

func lists(code binding.Return) func(*mock.Interface, *mock.Device) {
	return func(_ *mock.Interface, card *mock.Device) {
		card.GetComputeRunningProcessesFunc = func() ([]binding.ProcessInfo, binding.Return) { return nil, code }
	}
}

func lacks(symbols string) func(*mock.Interface, *mock.Device) {
	return func(lib *mock.Interface, _ *mock.Device) {
		lib.ExtensionsFunc = func() binding.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
				if strings.Contains(name, symbols) {
					return fmt.Errorf("no %s", name)
				}
				return nil
			}}
		}
	}
}
