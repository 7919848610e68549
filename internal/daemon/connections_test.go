package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
)

// TestConnectionsByTheThousand opens 10,000 connections to each listener of the program, with the descriptor limit of
// its unit: the command line still gets answers and the watchdog is fed.
func TestConnectionsByTheThousand(t *testing.T) {
	t.Parallel()
	w := setup(t)
	program := realProgram(t, w.dir)
	m := manage(t, w)
	page, labels, broker := freeAddress(t), freeAddress(t), freeAddress(t)
	secret := filepath.Join(w.dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret of labels\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.listen, w.nats, w.hours = page, fmt.Sprintf("{embedded: true, listen: %q}", broker), closed()
	w.labels = fmt.Sprintf("{postgres: {dsn: %q, table: items, id: id, text: [content], label: category}, http: {listen: %q, secret_file: %q}}",
		w.dsn, labels, secret)
	w.write(w.config())
	cmd := exec.Command("sh", "-c", `ulimit -n 8192 && exec "$0" run -c "$1"`, program, w.path())
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(w.dir, "notify"), "WATCHDOG_USEC=1000000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	m.said(t, "READY=1")
	socket := filepath.Join(w.state, "retraind.sock")
	for _, l := range []struct {
		name, network, address string
		least                  int // reported refusals; the broker reports at most one a second, webhooks none
	}{
		{"control", "unix", socket, 1000},
		{"page", "tcp", page, 1000},
		{"labels", "tcp", labels, 0},
		{"nats", "tcp", broker, 1},
	} {
		held := besiege(t, l.network, l.address)
		for range 20 {
			asks(t, socket)
		}
		m.alive(t, 3)
		if open := descriptors(t, cmd.Process.Pid); open > 1000 {
			t.Errorf("%s: the program has %d open files", l.name, open)
		}
		for _, c := range held {
			c.Close()
		}
		if l.least == 0 {
			continue
		}
		waittest.EventuallyHolds(t, "the refusals of "+l.name+" in the metrics", func() (bool, error) {
			n, err := refusals(page, l.name)
			return n >= l.least, fmt.Errorf("%d refusals, %v", n, err)
		})
	}
}

// besiege opens 10,000 connections, or as many as this process may have.
func besiege(t *testing.T, network, address string) []net.Conn {
	t.Helper()
	many := 10_000
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if most := int(min(files.Cur, 1<<20)) - 1000; most < many {
		many = most
		t.Logf("this process may open %d files: %d connections instead of 10,000", files.Cur, many)
	}
	held := make([]net.Conn, 0, many)
	deadline := time.Now().Add(patience)
	for len(held) < many {
		conn, err := net.Dial(network, address)
		if err == nil {
			held = append(held, conn)
		} else if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) { // the listener's queue is full
			t.Fatalf("after %d connections: %v", len(held), err)
		}
	}
	t.Cleanup(func() {
		for _, c := range held {
			c.Close()
		}
	})
	return held
}

// asks checks that the daemon answers.
func asks(t *testing.T, socket string) {
	t.Helper()
	c := status.NewClient(socket)
	defer c.Close()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, err := c.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// refusals reads the metric of refused connections.
func refusals(page, listener string) (int, error) {
	resp, err := http.Get("http://" + page + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	line := regexp.MustCompile(`(?m)^retraind_refused_total\{listener="` + listener + `",what="connection"\} (\S+)$`)
	found := line.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("no such metric")
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	return int(n), err
}

// freeAddress returns an unused loopback address.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
