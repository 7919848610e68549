package gpu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Fault says why a probe has no answer.
type Fault string

// The faults of a probe.
const (
	FaultNoDriver   Fault = "no_driver"       // NVIDIA's library or kernel driver is not there
	FaultMismatch   Fault = "driver_mismatch" // library and kernel driver differ, or the driver was replaced: reboot
	FaultLost       Fault = "gpu_lost"        // a device fell off the bus
	FaultHang       Fault = "hang"            // no answer in time; the child may be stuck in the driver
	FaultNotBuilt   Fault = "not_built"       // this binary was built without cgo
	FaultFailed     Fault = "failed"          // anything else
	defaultDeadline       = 5 * time.Second
)

// ProbeError is a probe without an answer. It always means "cannot tell", never "nothing there".
type ProbeError struct {
	Fault  Fault  `json:"fault"`
	Detail string `json:"detail"`
}

func (e *ProbeError) Error() string { return "ask NVIDIA's driver: " + e.Detail }

// answer is what the child prints: the devices, or why there are none.
type answer struct {
	Devices []Device    `json:"devices"`
	Error   *ProbeError `json:"error,omitempty"`
}

// Answer is the child's side (`retraind gpu-probe`): it prints what an inventory says as one JSON object and returns the
// exit status.
func Answer(ctx context.Context, w io.Writer, inventory Inventory) int {
	devices, err := inventory.Devices(ctx)
	out := answer{Devices: devices}
	if err != nil {
		var probe *ProbeError
		if !errors.As(err, &probe) {
			probe = &ProbeError{Fault: FaultFailed, Detail: err.Error()}
		}
		out = answer{Error: probe}
	}
	if err := json.NewEncoder(w).Encode(out); err != nil || out.Error != nil {
		return 1
	}
	return 0
}

// Probe asks in a child process, because a broken driver takes the process down that asks: a symbol that is missing ends it
// with status 127, a hanging device never lets it go.
type Probe struct {
	// Command is the child's argv, e.g. {"/usr/local/bin/retraind", "gpu-probe"}.
	Command []string
	// Env is the child's environment; nil means the daemon's own.
	Env []string
	// Deadline is how long the child may take; 0 means 5 s.
	Deadline time.Duration
	// Proc is where holders are named from; nil means the host's /proc.
	Proc fs.FS

	stuck chan struct{} // closed when the child that hung is gone; nil while none hangs
	mu    sync.Mutex    // one child at a time; guards stuck
}

// Devices implements Inventory. While an earlier child still hangs in the driver no other is started.
func (p *Probe) Devices(ctx context.Context) ([]Device, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stuck != nil {
		select {
		case <-p.stuck:
			p.stuck = nil
		default:
			return nil, &ProbeError{FaultHang, "an earlier question still hangs in the driver: a reset of the GPU or a reboot is needed"}
		}
	}
	devices, err := p.ask(ctx)
	if err != nil {
		return nil, err
	}
	proc := p.Proc
	if proc == nil {
		proc = os.DirFS("/proc")
	}
	for i := range devices {
		for j := range devices[i].Processes {
			process := &devices[i].Processes[j]
			process.Name, process.Holder = Identify(proc, process.PID)
		}
	}
	return devices, nil
}

func (p *Probe) ask(ctx context.Context) ([]Device, error) {
	deadline := p.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.Env, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, &ProbeError{FaultFailed, "start " + strings.Join(p.Command, " ") + ": " + err.Error()}
	}
	done := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		done <- cmd.Wait()
		close(gone)
	}()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case err := <-done:
		return classify(err, stdout.Bytes(), stderr.String())
	case <-timer.C:
		p.abandon(cmd, gone)
		return nil, &ProbeError{FaultHang, fmt.Sprintf("no answer within %s", deadline)}
	case <-ctx.Done():
		p.abandon(cmd, gone)
		return nil, fmt.Errorf("ask NVIDIA's driver: %w", context.Cause(ctx))
	}
}

// abandon kills the child's group and remembers it for as long as it does not die: in an uninterruptible call it cannot.
func (p *Probe) abandon(cmd *exec.Cmd, gone chan struct{}) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	grace := time.NewTimer(200 * time.Millisecond)
	defer grace.Stop()
	select {
	case <-gone:
	case <-grace.C:
		p.stuck = gone
	}
}

// classify turns the child's end into devices or a fault.
func classify(err error, stdout []byte, stderr string) ([]Device, error) {
	var a answer
	if jerr := json.Unmarshal(stdout, &a); jerr == nil && (err == nil || a.Error != nil) {
		if a.Error != nil {
			return nil, a.Error
		}
		return a.Devices, nil
	}
	detail, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 127:
		// The dynamic linker's word: a function is not in the library that is installed now.
		return nil, &ProbeError{FaultMismatch, "the installed driver lacks a function (was it replaced or removed? a reboot may be needed): " + detail}
	case err != nil:
		return nil, &ProbeError{FaultFailed, fmt.Sprintf("the probe ended with %v: %s", err, detail)}
	default:
		return nil, &ProbeError{FaultFailed, fmt.Sprintf("the probe's answer is not JSON: %.80q", stdout)}
	}
}
