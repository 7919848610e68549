package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is the postmaster as a child process.
type process struct {
	pid  int
	done chan struct{} // closed when the process has been reaped
	err  error         // the result of Wait, valid once done is closed
	said int           // length of the log when the process started
}

// Restart starts the server again after Kill, or stops it quickly and starts it. It returns when connections are
// accepted.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		if err := c.server.end(syscall.SIGINT, 10*time.Second); err != nil {
			return fmt.Errorf("restart postgresql: %w", err)
		}
		c.server = nil
	}
	server, err := c.up(ctx)
	if err != nil {
		return fmt.Errorf("start postgresql: %w", err)
	}
	c.server = server
	return nil
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it is gone. The data is kept for Restart.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return errors.New("kill postgresql: it is not running")
	}
	err := c.server.end(syscall.SIGKILL, 10*time.Second)
	c.server = nil
	return err
}

// up starts the server and waits until it is ready. After Kill, orphaned workers may still use the shared memory for a
// short time. A new server refuses to start until they have ended, so up retries.
func (c *Cluster) up(ctx context.Context) (*process, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for attempt := 1; ; attempt++ {
		server, err := c.spawn()
		if err != nil {
			return nil, err
		}
		if err = c.ready(ctx, server); err == nil {
			return server, nil
		}
		err = errors.Join(err, server.end(syscall.SIGKILL, 10*time.Second))
		if attempt == 200 || ctx.Err() != nil || !c.memoryInUse(server) {
			return nil, err
		}
		<-tick.C
	}
}

// spawn starts the postmaster. The goroutine keeps its thread for the child's whole life: the kernel sends Pdeathsig
// when the thread that forked ends, not when the process does.
func (c *Cluster) spawn() (*process, error) {
	out, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{done: make(chan struct{}), said: len(readText(c.logPath()))}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data())
		cmd.Dir = c.dir
		cmd.Env = c.environment()
		cmd.Stdout, cmd.Stderr = out, out
		// In its own process group, so that Ctrl-C at the terminal does not stop the server before the programs that use it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
		cmd.WaitDelay = time.Second
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ready waits for the line that the postmaster writes into its pid file when it accepts connections.
func (c *Cluster) ready(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if lines := strings.Split(readText(filepath.Join(c.data(), "postmaster.pid")), "\n"); len(lines) >= 8 &&
			lines[0] == fmt.Sprint(p.pid) && (strings.TrimSpace(lines[7]) == "ready" || strings.TrimSpace(lines[7]) == "standby") {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the server ended at once: %w: %s", p.err, c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w: %s", ctx.Err(), c.logTail())
		case <-tick.C:
		}
	}
}

// end sends sig and waits until the process has been reaped. After patience it kills the process.
func (p *process) end(sig syscall.Signal, patience time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal postgresql: %w", err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill postgresql: %w", err)
	}
	<-p.done
	return nil
}

func (c *Cluster) logPath() string { return filepath.Join(c.dir, "log") }

// memoryInUse reports whether the server found the previous server's shared memory in use. It searches everything that
// was logged since the server started, because orphaned workers write to the same log.
func (c *Cluster) memoryInUse(p *process) bool {
	text := readText(c.logPath())
	return strings.Contains(text[min(p.said, len(text)):], "is still in use")
}

// logTail returns the end of the server's log, for error messages.
func (c *Cluster) logTail() string {
	text := readText(c.logPath())
	return strings.TrimSpace(text[max(0, len(text)-800):])
}

func readText(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	return string(text)
}
