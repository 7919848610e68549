package gpu

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const defaultDeadline = 5 * time.Second

// Probe queries the driver in a child process, because a broken driver ends or blocks the process that calls it: a
// missing symbol ends it with status 127, and a hanging device never returns.
type Probe struct {
	// Command is the child's argv, e.g. {"/usr/local/bin/retraind", "gpu-probe"}.
	Command []string
	// Env is the child's environment; nil means the daemon's own.
	Env []string
	// Deadline is how long the child may take; 0 means 5 s.
	Deadline time.Duration
	// Proc is the file system in which processes are looked up; nil means the host's /proc.
	Proc fs.FS
	// Names completes the names of holders; nil keeps the names from /proc.
	Names *Namer

	launch func(p *Probe) (child, error) // nil: a process; tests replace it
	mu     sync.Mutex                    // one child at a time; guards stuck and since
	stuck  <-chan struct{}               // closed when the hanging child has ended; nil while none hangs
	since  time.Time                     // when the hanging child was started
}

// child is a running query.
type child struct {
	gone   <-chan struct{}          // closed when it has ended
	answer func() ([]Device, error) // its answer; call it only after gone is closed
	kill   func()                   // kills it, if that is possible
}

// Devices implements Inventory. While an earlier child still hangs in the driver no other is started.
func (p *Probe) Devices(ctx context.Context) ([]Device, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.awaitStuck(ctx); err != nil {
		return nil, err
	}
	devices, err := p.ask(ctx)
	if err != nil {
		return nil, err
	}
	proc := hostProc(p.Proc)
	for i := range devices {
		d := &devices[i]
		settle(proc, d)
		for j := range d.Processes {
			process := &d.Processes[j]
			process.Name, process.Holder = Identify(proc, process.PID)
		}
	}
	if p.Names != nil {
		p.Names.Complete(ctx, devices)
	}
	return devices, nil
}

// awaitStuck returns an error if the child of an earlier query hangs. First it waits for that child until the deadline
// of its query: if the caller left early, the child was killed before the deadline, and on a machine under load a
// killed process ends late although it does not hang.
func (p *Probe) awaitStuck(ctx context.Context) error {
	if p.stuck == nil {
		return nil
	}
	timer := time.NewTimer(time.Until(p.since.Add(p.deadline())))
	defer timer.Stop()
	select {
	case <-p.stuck:
	case <-ctx.Done():
		return fmt.Errorf("query NVIDIA's driver: %w", context.Cause(ctx))
	case <-timer.C:
		select {
		case <-p.stuck:
		default:
			return &ProbeError{FaultHang, "an earlier query still hangs in the driver: a reset of the GPU or a reboot is needed"}
		}
	}
	p.stuck = nil
	return nil
}

func (p *Probe) deadline() time.Duration {
	if p.Deadline == 0 {
		return defaultDeadline
	}
	return p.Deadline
}

func (p *Probe) ask(ctx context.Context) ([]Device, error) {
	deadline := p.deadline()
	launch := p.launch
	if launch == nil {
		launch = (*Probe).start
	}
	c, err := launch(p)
	if err != nil {
		return nil, &ProbeError{FaultFailed, "start " + strings.Join(p.Command, " ") + ": " + err.Error()}
	}
	began := time.Now()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-c.gone:
		return c.answer()
	case <-timer.C:
		p.abandon(c, began)
		return nil, &ProbeError{FaultHang, fmt.Sprintf("no answer within %s", deadline)}
	case <-ctx.Done():
		p.abandon(c, began)
		return nil, fmt.Errorf("query NVIDIA's driver: %w", context.Cause(ctx))
	}
}

// start starts the child in a process group of its own, so that its own children are killed with it.
func (p *Probe) start() (child, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.Env, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return child{}, err
	}
	var end error
	gone := make(chan struct{})
	go func() {
		end = cmd.Wait()
		close(gone)
	}()
	return child{
		gone:   gone,
		answer: func() ([]Device, error) { return classify(end, stdout.Bytes(), stderr.String()) },
		kill:   func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) },
	}, nil
}

// abandon kills the child and keeps track of it until it ends: in an uninterruptible call it cannot be killed.
func (p *Probe) abandon(c child, began time.Time) {
	c.kill()
	grace := time.NewTimer(200 * time.Millisecond)
	defer grace.Stop()
	select {
	case <-c.gone:
	case <-grace.C:
		p.stuck, p.since = c.gone, began
	}
}

// hostProc returns the host's /proc unless a test sets another one.
func hostProc(proc fs.FS) fs.FS {
	if proc == nil {
		return os.DirFS("/proc")
	}
	return proc
}
