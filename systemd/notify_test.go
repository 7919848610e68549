package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/systemd"
)

// manager opens systemd's end of the notification socket, and returns the environment that names it.
func manager(t *testing.T) (systemd.Environment, *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return listen(t, filepath.Join(dir, "notify"))
}

func listen(t *testing.T, path string) (systemd.Environment, *net.UnixConn) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return environment(map[string]string{"NOTIFY_SOCKET": path}), conn
}

func environment(vars map[string]string) systemd.Environment {
	return func(name string) string { return vars[name] }
}

func receive(t *testing.T, conn *net.UnixConn) []string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(buf[:n]), "\n")
}

func TestNotify(t *testing.T) {
	t.Parallel()
	env, conn := manager(t)
	n := systemd.NewNotifier(env)
	if !n.Enabled() {
		t.Fatal("not enabled with NOTIFY_SOCKET set")
	}
	for _, tc := range []struct {
		name string
		call func() error
		want []string
	}{
		{"ready", func() error { return n.Ready("watching 2 models") }, []string{"READY=1", "STATUS=watching 2 models"}},
		{"status on one line", func() error { return n.Status("broken:\nSTOPPING=1") }, []string{"STATUS=broken: STOPPING=1"}},
		{"stopping", func() error { return n.Stopping("bye") }, []string{"STOPPING=1", "STATUS=bye"}},
		{"extend", func() error { return n.Extend(90 * time.Second) }, []string{"EXTEND_TIMEOUT_USEC=90000000"}},
	} {
		if err := tc.call(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, receive(t, conn)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

func TestReloadingCarriesMonotonicTime(t *testing.T) {
	t.Parallel()
	env, conn := manager(t)
	before := monotonic(t)
	if err := systemd.NewNotifier(env).Reloading("reading retraind.yaml"); err != nil {
		t.Fatal(err)
	}
	after := monotonic(t)
	got := receive(t, conn)
	if len(got) != 3 || got[0] != "RELOADING=1" || got[2] != "STATUS=reading retraind.yaml" {
		t.Fatalf("got %q", got)
	}
	usec, err := strconv.ParseInt(strings.TrimPrefix(got[1], "MONOTONIC_USEC="), 10, 64)
	if err != nil || usec < before || usec > after {
		t.Errorf("got %s, want a time in [%d, %d]", got[1], before, after)
	}
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestAbstractSocket(t *testing.T) {
	t.Parallel()
	env, conn := listen(t, "@retraind-test-"+strconv.Itoa(os.Getpid()))
	if err := systemd.NewNotifier(env).Status("hello"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"STATUS=hello"}, receive(t, conn)); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{"", "relative/path", "vsock:2:1234"} {
		n := systemd.NewNotifier(environment(map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "1000"}))
		if n.Enabled() {
			t.Errorf("enabled with NOTIFY_SOCKET=%q", socket)
		}
		if err := n.Ready("x"); err != nil {
			t.Error(err)
		}
		if got := n.NewWatchdog().Interval(); got != 0 {
			t.Errorf("watchdog of %s without a service manager", got)
		}
	}
}

func TestSocketGone(t *testing.T) {
	t.Parallel()
	n := systemd.NewNotifier(environment(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "gone")}))
	if err := n.Ready("x"); err == nil || !strings.HasPrefix(err.Error(), "notify systemd: ") {
		t.Errorf("got error %v", err)
	}
}

func TestChildEnv(t *testing.T) {
	t.Parallel()
	got := systemd.ChildEnv([]string{
		"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "LISTEN_FDS=1", "LISTEN_PID=3", "LISTEN_FDNAMES=a", "HOME=/",
	})
	if diff := cmp.Diff([]string{"PATH=/bin", "HOME=/"}, got); diff != "" {
		t.Error(diff)
	}
}
