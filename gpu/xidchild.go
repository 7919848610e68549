package gpu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// XidReader waits for errors of one device and calls report with each, until ctx ends. Implemented by gpu/nvml.
type XidReader interface {
	Xids(ctx context.Context, uuid string, report func(Xid)) error
}

// AnswerXids implements the child process `retraind gpu-xid UUID`: it prints the number of each error on a line until
// its standard input is closed, by its parent or by the parent's end. It returns the exit status.
func AnswerXids(in io.Reader, out, diagnostics io.Writer, reader XidReader, uuid string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	if err := reader.Xids(ctx, uuid, func(x Xid) { fmt.Fprintln(out, int(x)) }); err != nil && ctx.Err() == nil {
		fmt.Fprintln(diagnostics, err)
		return 1
	}
	return 0
}

// XidProbe reads a device's errors in a child process that runs as long as a step: the driver reports an error only to
// processes that wait at that moment. Safe for concurrent use.
type XidProbe struct {
	// Command is the child's argv, without the UUID, e.g. {"/usr/local/bin/retraind", "gpu-xid"}.
	Command []string
	// Env is the child's environment; nil means the daemon's own.
	Env []string

	mu    sync.Mutex
	stuck map[string]<-chan struct{} // by UUID: the child that could not be killed; closed when it has ended
}

// Follow sends the device's Xid errors on the channel until ctx ends. It returns an error if they cannot be read, for
// example because the child process of an earlier step still hangs in the driver.
func (p *XidProbe) Follow(ctx context.Context, uuid string, into chan<- Xid) error {
	if err := p.ready(uuid); err != nil {
		return err
	}
	cmd := exec.Command(p.Command[0], append(p.Command[1:len(p.Command):len(p.Command)], uuid)...)
	var stderr strings.Builder
	cmd.Env, cmd.Stderr = p.Env, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return &ProbeError{FaultFailed, err.Error()}
	}
	gone := make(chan struct{})
	var end error
	go func() {
		defer close(gone)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				select {
				case into <- Xid(n):
				case <-ctx.Done():
				}
			}
		}
		end = cmd.Wait()
	}()
	select {
	case <-gone:
		if end == nil {
			end = errors.New("exit status 0")
		}
		return diagnose(end, stderr.String())
	case <-ctx.Done():
	}
	_ = stdin.Close()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	p.wait(uuid, gone)
	return context.Cause(ctx)
}

func (p *XidProbe) ready(uuid string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := p.stuck[uuid]
	if gone == nil {
		return nil
	}
	select {
	case <-gone:
		delete(p.stuck, uuid)
		return nil
	default:
		return &ProbeError{FaultHang, "an earlier process that reads errors of the GPU (Xid) still hangs in the driver: a reset of the GPU or a reboot is needed"}
	}
}

// wait waits briefly for a child that was killed and keeps track of one that does not end.
func (p *XidProbe) wait(uuid string, gone <-chan struct{}) {
	grace := time.NewTimer(200 * time.Millisecond)
	defer grace.Stop()
	select {
	case <-gone:
	case <-grace.C:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.stuck == nil {
			p.stuck = map[string]<-chan struct{}{}
		}
		p.stuck[uuid] = gone
	}
}
