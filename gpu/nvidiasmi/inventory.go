package nvidiasmi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/retraind/retraind/gpu"
)

// Inventory implements gpu.Inventory with the program nvidia-smi.
type Inventory struct {
	Program string // "" means nvidia-smi, found by PATH
}

// Devices implements gpu.Inventory.
func (i Inventory) Devices(ctx context.Context) ([]gpu.Device, error) {
	program, err := exec.LookPath(cmp.Or(i.Program, "nvidia-smi"))
	if err != nil {
		return nil, &gpu.ProbeError{
			Fault:  gpu.FaultNotBuilt,
			Detail: "this retraind was built without cgo and needs the program nvidia-smi, which is not installed: install NVIDIA's driver with its tools",
		}
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-q", "-x")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fault(err, stdout.String()+stderr.String())
	}
	return parse(stdout.Bytes())
}

// fault derives why nvidia-smi failed. It reads the output, because the exit status is NVML's return code in most
// versions, but not in all.
func fault(err error, output string) error {
	line, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	e := &gpu.ProbeError{Fault: gpu.FaultFailed, Detail: fmt.Sprintf("nvidia-smi ended with %v: %s", err, line)}
	low := strings.ToLower(output)
	var exit *exec.ExitError
	switch {
	case strings.Contains(low, "version mismatch"):
		e.Fault = gpu.FaultMismatch
		e.Detail += " (library and kernel driver differ: a reboot is needed)"
	case strings.Contains(low, "couldn't communicate with the nvidia driver"), strings.Contains(low, "driver not loaded"):
		e.Fault = gpu.FaultNoDriver
	case strings.Contains(low, "gpu is lost"):
		e.Fault = gpu.FaultLost
		e.Detail += " (a reboot is needed)"
	case errors.As(err, &exit) && exit.ExitCode() < 0:
		e.Fault = gpu.FaultCrash
	}
	return e
}
