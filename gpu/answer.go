package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
)

// answer is the JSON document that the child process `retraind gpu-probe` prints: the devices, or the fault.
type answer struct {
	Devices []Device    `json:"devices"`
	Error   *ProbeError `json:"error,omitempty"`
}

// Answer implements the child process `retraind gpu-probe`: it prints the inventory as one JSON object and returns the
// exit status.
func Answer(ctx context.Context, w io.Writer, inventory Inventory) int {
	devices, err := inventory.Devices(ctx)
	out := answer{Devices: devices}
	if err != nil {
		out = answer{Error: asProbeError(err)}
	}
	if err := json.NewEncoder(w).Encode(out); err != nil || out.Error != nil {
		return 1
	}
	return 0
}

func asProbeError(err error) *ProbeError {
	var probe *ProbeError
	if !errors.As(err, &probe) {
		probe = &ProbeError{Fault: FaultFailed, Detail: err.Error()}
	}
	return probe
}

// classify turns the child's result into devices or a fault.
func classify(err error, stdout []byte, stderr string) ([]Device, error) {
	var a answer
	if jerr := json.Unmarshal(stdout, &a); jerr == nil && (err == nil || a.Error != nil) {
		if a.Error != nil {
			return nil, a.Error
		}
		return a.Devices, nil
	}
	if err == nil {
		return nil, &ProbeError{FaultFailed, fmt.Sprintf("the probe's answer is not JSON: %.80q", stdout)}
	}
	return nil, diagnose(err, stderr)
}

// diagnose derives the fault from the exit of a child that printed no answer: status 127 comes from the dynamic
// linker, a signal is a crash.
func diagnose(err error, stderr string) *ProbeError {
	detail, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() == 127 {
			return &ProbeError{
				FaultMismatch,
				"the installed driver lacks a function (was it replaced or removed? a reboot may be needed): " + detail,
			}
		}
		signal := ""
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			signal = status.Signal().String()
		} else if strings.HasPrefix(detail, "SIG") { // Go's runtime catches a signal, prints it and exits
			signal = detail
		}
		if signal != "" {
			return &ProbeError{
				FaultCrash,
				"NVIDIA's library ended the probe by a signal (" + signal + "): the driver may be broken or half replaced; " +
					"see dmesg, a reboot may be needed",
			}
		}
	}
	return &ProbeError{FaultFailed, strings.TrimSuffix(fmt.Sprintf("the probe ended with %v: %s", err, detail), ": ")}
}
