//go:build !race

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
)

// guardian starts the daemon, and restarts it whenever it was killed at a point, as systemd would. Any other unexpected
// end of the daemon fails the scenario.
type guardian struct {
	place  place
	at     []string // points at which the first, second, … process is killed
	client *status.Client
	fail   context.CancelCauseFunc
	ended  chan struct{} // closed when the daemon has ended on request

	mu       sync.Mutex
	cmd      *exec.Cmd
	deaths   int
	stopping bool
}

func (g *guardian) log() string { return filepath.Join(g.place.dir, "daemon.log") }

// points returns the file in which the n-th process records the points that it passed.
func (g *guardian) points(n int) string {
	return filepath.Join(g.place.dir, fmt.Sprintf("points-%d", n))
}

// begin starts the first process.
func (g *guardian) begin() error {
	g.ended = make(chan struct{})
	if err := g.start(); err != nil {
		return err
	}
	go g.watch()
	return nil
}

func (g *guardian) start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	out, err := os.OpenFile(g.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(g.place.program, "run", "--config", g.place.config())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "RETRAIND_CRASH_LOG="+g.points(g.deaths))
	if g.deaths < len(g.at) {
		cmd.Env = append(cmd.Env, "RETRAIND_CRASH_AT="+g.at[g.deaths])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.cmd = cmd
	return cmd.Start()
}

// watch waits for the end of each daemon process, and starts the next one after a kill.
func (g *guardian) watch() {
	for {
		err := g.process().Wait()
		g.mu.Lock()
		killed, stopping := signalled(err, syscall.SIGKILL), g.stopping
		again := killed && g.deaths < len(g.at)
		if again {
			g.deaths++
		}
		g.mu.Unlock()
		switch {
		case again:
			if err := g.start(); err != nil {
				g.fail(err)
				return
			}
		case err == nil && stopping:
			close(g.ended)
			return
		default:
			g.fail(fmt.Errorf("the daemon ended: %w; its output:\n%s", errors.Join(err, errEnd), tail(g.log(), 3000)))
			return
		}
	}
}

var errEnd = errors.New("unexpected exit")

func signalled(err error, sig syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	ws, ok := exit.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == sig
}

func (g *guardian) process() *exec.Cmd {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cmd
}

func (g *guardian) died() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deaths
}

// serving waits until a daemon process answers, and returns it. A process that answers has installed its signal
// handlers.
func (g *guardian) serving(ctx context.Context) (cmd *exec.Cmd, err error) {
	err = waittest.Until(ctx, "the daemon to answer", func() (bool, error) {
		cmd = g.process()
		_, err := g.client.Snapshot(ctx)
		return err == nil && cmd == g.process(), err
	})
	return cmd, err
}

// signal sends a signal to the process that answers. It is no error if this process has just ended.
func (g *guardian) signal(ctx context.Context, sig syscall.Signal) error {
	cmd, err := g.serving(ctx)
	if err != nil {
		return err
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// stop ends the daemon as systemd would. If it is killed while it stops, it is restarted and stopped again.
func (g *guardian) stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	for {
		deaths := g.died()
		if err := g.signal(ctx, syscall.SIGTERM); err != nil {
			return err
		}
		ended := false
		if err := waittest.Until(ctx, "the daemon to stop", func() (bool, error) {
			select {
			case <-g.ended:
				ended = true
			default:
			}
			return ended || g.died() > deaths, nil
		}); err != nil || ended {
			return err
		}
	}
}

// kill kills the daemon of a failed scenario, and prevents its restart.
func (g *guardian) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = nil
	if g.cmd != nil && g.cmd.Process != nil {
		_ = g.cmd.Process.Kill()
	}
}

// service is the classifier's process. The test keeps the listening socket, so that no connection is refused while the
// service starts or is replaced.
type service struct {
	place  place
	socket *net.TCPListener
	cmd    *exec.Cmd
}

func (s *service) start(watch bool) error {
	f, err := s.socket.File()
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := os.OpenFile(filepath.Join(s.place.dir, "classifier.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.Command(s.place.program, "serve-classifier", "--listen", "fd:3", "--model",
		filepath.Join(s.place.state(), "models", model, "current"), fmt.Sprintf("--watch=%t", watch))
	s.cmd.ExtraFiles = []*os.File{f}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return s.cmd.Start()
}

// stop kills the service. The classifier's own tests test a graceful stop.
func (s *service) stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}
