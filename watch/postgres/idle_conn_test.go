package postgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
)

// TestAPeerThatForgets: a proxy keeps accepting bytes and returns none. This is detected, both when the source is idle
// and when it waits for an answer. Once the proxy works again, the source is up again.
func TestAPeerThatForgets(t *testing.T) {
	t.Parallel()
	for _, awake := range []bool{false, true} {
		t.Run(fmt.Sprint("awake ", awake), func(t *testing.T) {
			t.Parallel()
			b := setup(t, itemsSQL, quiet)
			s := &staller{back: socket(hostOf(b.cfg.DSN))}
			direct := *b.cfg
			b.cfg.DSN = through(direct.DSN, listenIn(t, s.serve))
			source, _ := b.start()
			b.ready()
			if awake {
				stop := make(chan struct{})
				writers := write(t, direct.DSN, 1, 1e6, stop)
				defer writers.Wait()
				defer close(stop)
				b.sink.until(t, "changes", func() bool { return len(b.sink.changes) > 20 })
			} else {
				b.sleeping()
			}
			s.silent.Store(true)
			start := time.Now()
			b.sink.until(t, "the trouble", func() bool { return !source.Health().Up })
			t.Logf("noticed after %v", time.Since(start))
			s.silent.Store(false)
			source.Retry()
			b.sink.until(t, "the source to be back", func() bool { return source.Health().Up })
		})
	}
}

// TestAPeerThatForgetsAQuery: the same while a query of another capture waits for its answer.
func TestAPeerThatForgetsAQuery(t *testing.T) {
	t.Parallel()
	for _, capture := range []Capture{CaptureLogical, CapturePoll} {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := newLab(t).setup(t, capture, itemsSQL+";"+touched, itemsConfig)
			s := &staller{back: socket(hostOf(b.cfg.DSN))}
			b.cfg.DSN = through(b.cfg.DSN, listenIn(t, s.serve))
			b.sink.stall = func() { s.silent.Store(true) }
			b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
			source, _ := b.start()
			b.sink.until(t, "the trouble", func() bool { return source.Health().Error != "" })
			if h := source.Health(); !strings.Contains(h.Error, "a connection to PostgreSQL is dead") {
				t.Errorf("%+v", h)
			}
			s.silent.Store(false)
			source.Retry()
			b.sink.until(t, "the source to be back", func() bool { return source.Health().Up })
		})
	}
}

// TestAPeerThatForgetsAnExport: the same while a table is exported.
func TestAPeerThatForgetsAnExport(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, title) SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g`)
	s := &staller{back: socket(hostOf(b.cfg.DSN))}
	b.cfg.DSN = through(b.cfg.DSN, listenIn(t, s.serve))
	ctx, cancel := context.WithTimeout(t.Context(), waittest.Patience)
	defer cancel()
	var last error
	for _, err := range Export(ctx, "m", b.cfg) {
		s.silent.Store(true)
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "a connection to PostgreSQL is dead") {
		t.Errorf("the export ended with %v", last)
	}
}

// TestDeadPeersAreNoticedInTime: the limits add up to less than the ten seconds within which a dead peer must be
// noticed.
func TestDeadPeersAreNoticedInTime(t *testing.T) {
	t.Parallel()
	if asleep, awake := pingEvery+pingTimeout, idleTimeout+probeTimeout+idleTick; max(asleep, awake) > 10*time.Second {
		t.Errorf("%s and %s", asleep, awake)
	}
}

// TestALongQueryIsNoDeadPeer: a query that the server runs for longer than the timeout is not cut off.
func TestALongQueryIsNoDeadPeer(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	conn, err := dial(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(conn)
	ctx, release := cancelWhenIdle(t.Context(), b.cfg, conn)
	defer release()
	if _, err := conn.Exec(ctx, "SELECT pg_sleep(8)"); err != nil {
		t.Errorf("a query of eight seconds was cut off: %v", err)
	}
}

// relayVariable makes the test binary a relay from a TCP address to a socket; see TestHalfOpenConnection.
const relayVariable = "RETRAIND_TEST_RELAY"

func relay(task string) int {
	address, back, _ := strings.Cut(task, " ")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	for {
		front, err := listener.Accept()
		if err != nil {
			return 1
		}
		go func() {
			server, err := net.Dial("unix", back)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(server, front) }()
			_, _ = io.Copy(front, server)
		}()
	}
}

// TestHalfOpenConnection puts a relay to the server into a network namespace, and drops every packet there.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (apt-get install iproute2 nftables)", program)
		}
	}
	space := fmt.Sprintf("rt%d", os.Getpid())
	sh := func(format string, args ...any) (string, error) {
		out, err := exec.Command("sh", "-c", fmt.Sprintf(format, args...)).CombinedOutput()
		return string(out), err
	}
	// Addresses for documentation, which no real network has.
	out, err := sh(`set -e; ip netns add %[1]s; ip link add %[1]sa type veth peer name %[1]sb; ip link set %[1]sb netns %[1]s
		ip addr add 198.51.100.1/30 dev %[1]sa; ip link set %[1]sa up
		ip -n %[1]s addr add 198.51.100.2/30 dev %[1]sb; ip -n %[1]s link set %[1]sb up
		ip netns exec %[1]s nft add table inet t; ip netns exec %[1]s nft 'add chain inet t c { type filter hook input priority 0; }'`,
		space)
	t.Cleanup(func() { _, _ = sh("ip netns del %[1]s; ip link del %[1]sa", space) })
	if err != nil {
		t.Skipf("no network namespace here: %s", out)
	}
	b := setup(t, itemsSQL, quiet)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", space, self)
	cmd.Env = append(os.Environ(), relayVariable+"=198.51.100.2:5432 "+socket(hostOf(b.cfg.DSN)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("the relay says %q: %v", line, err)
	}
	b.cfg.DSN = through(b.cfg.DSN, "198.51.100.2") + " sslmode=disable"
	source, _ := b.start()
	b.ready()
	b.sleeping()
	start := time.Now()
	if out, err := sh("ip netns exec %s nft add rule inet t c drop", space); err != nil {
		t.Fatal(out)
	}
	b.sink.until(t, "the trouble", func() bool { return !source.Health().Up })
	t.Logf("noticed after %v", time.Since(start))
	if out, err := sh("ip netns exec %s nft flush chain inet t c", space); err != nil {
		t.Fatal(out)
	}
	source.Retry()
	b.sink.until(t, "the source to be back", func() bool { return source.Health().Up })
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
}
