package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a child process with its log.
type child struct {
	name string
	cmd  *exec.Cmd
	log  *tailLog
	done chan struct{}
	err  error // valid once done is closed
}

// startChild starts a process and waits until its log contains the text `ready`. It fails if the process or ctx ends
// first.
func startChild(ctx context.Context, name, logFile, ready string, files []*os.File, argv ...string) (*child, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	c := &child{
		name: name, cmd: exec.Command(argv[0], argv[1:]...),
		log: &tailLog{file: out, word: []byte(ready), seen: make(chan struct{})}, done: make(chan struct{}),
	}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.ExtraFiles = files
	// The children end with the demo, even if it is killed.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	select {
	case <-c.log.seen:
		return c, nil
	case <-c.done:
		return nil, fmt.Errorf("%s ended right after its start; its output: %s", name, c.log.tail())
	case <-ctx.Done():
		_ = c.stop()
		return nil, context.Cause(ctx)
	}
}

// signal sends a signal to the process itself.
func (c *child) signal(sig os.Signal) error { return c.cmd.Process.Signal(sig) }

// stop ends the process as systemd does: it sends SIGTERM, waits up to 30 s, and then kills it.
func (c *child) stop() error {
	_ = c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		_ = c.signal(syscall.SIGKILL)
		<-c.done
		return fmt.Errorf("%s did not stop within 30 s and was killed", c.name)
	}
	var exit *exec.ExitError
	if errors.As(c.err, &exit) && exit.ExitCode() != 0 && !exit.Sys().(syscall.WaitStatus).Signaled() {
		return fmt.Errorf("%s ended with status %d; its output: %s", c.name, exit.ExitCode(), c.log.tail())
	}
	return nil
}

// tailLog writes a log to a file, keeps its last part in memory, and detects a word in it.
type tailLog struct {
	mu   sync.Mutex
	file *os.File
	last []byte
	word []byte
	seen chan struct{}
	once sync.Once
}

func (l *tailLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, p...)
	if bytes.Contains(l.last, l.word) {
		l.once.Do(func() { close(l.seen) })
	}
	if len(l.last) > 8<<10 {
		l.last = append([]byte(nil), l.last[len(l.last)-4<<10:]...)
	}
	return l.file.Write(p)
}

// tail returns the last lines of the log.
func (l *tailLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.last)), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n")
}
