package systemd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier reports the daemon's state to the service manager (sd_notify(3)).
type Notifier struct {
	addr   *unix.SockaddrUnix // nil: no service manager
	env    Environment
	socket *os.File // open from the start, so that a watchdog can be fed by a process without a free descriptor
	fault  error    // why there is no socket
}

// Environment looks up a variable that systemd sets for a service; os.Getenv fits.
type Environment func(name string) string

// NewNotifier returns a Notifier for the socket that the environment names. Without NOTIFY_SOCKET it does nothing.
func NewNotifier(env Environment) *Notifier {
	n := &Notifier{env: env}
	// A leading @ is the abstract namespace, which package unix spells the same way.
	if path := env("NOTIFY_SOCKET"); strings.HasPrefix(path, "/") || strings.HasPrefix(path, "@") {
		n.addr = &unix.SockaddrUnix{Name: path}
		n.socket, n.fault = openDatagram()
	}
	return n
}

// sendPatience is how long a message may wait for room in the manager's queue.
const sendPatience = time.Second

func openDatagram() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "notify socket")
	patience := unix.NsecToTimeval(sendPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		file.Close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return file, nil
}

// Enabled reports whether a service manager listens.
func (n *Notifier) Enabled() bool { return n.addr != nil }

// Ready reports the end of the start or of a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading reports that a reload begins; Ready must follow. The time stamp lets systemd match the two: without it a
// unit of Type=notify-reload would wait for ever.
func (n *Notifier) Reloading(status string) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("notify systemd: read monotonic clock: %w", err)
	}
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), statusLine(status))
}

// Status shows one sentence in `systemctl status`.
func (n *Notifier) Status(status string) error { return n.send(statusLine(status)) }

// Stopping reports that the shutdown begins.
func (n *Notifier) Stopping(status string) error { return n.send("STOPPING=1", statusLine(status)) }

// Extend asks the manager to wait at least d longer before it treats the start, the stop or the run time as too long;
// repeat the call while the work continues.
func (n *Notifier) Extend(d time.Duration) error {
	return n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// send writes one datagram. The socket is not connected: it must survive a re-execution of the manager.
func (n *Notifier) send(lines ...string) error {
	if n.addr == nil {
		return nil
	}
	if n.fault != nil {
		return fmt.Errorf("notify systemd: %w", n.fault)
	}
	addr := &unix.SockaddrUnix{Name: n.addr.Name} // Sendto writes into it, and several goroutines call send
	for {
		err := unix.Sendto(int(n.socket.Fd()), []byte(strings.Join(lines, "\n")), 0, addr)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR): // a send with a timeout is not restarted automatically
			return fmt.Errorf("notify systemd: %w", os.NewSyscallError("sendto", err))
		}
	}
}

// statusLine puts a status on one line, so that it cannot contain another assignment.
func statusLine(status string) string {
	return "STATUS=" + strings.Join(strings.Fields(status), " ")
}
