package daemon_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustSay(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("it says %q, which lacks %q", text, w)
		}
	}
}

func TestPostgresAwayAtTheFirstStart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.dsn = "host=" + t.TempDir() + " user=nobody dbname=nothing"
	mustSay(t, w.refused(), "model news", "cannot reach", "is the server running?")
}

func TestTableThatIsNotPrepared(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.sql("drop schema retraind cascade")
	mustSay(t, w.refused(), "model news", "retraind init")
}

func TestNATSPortTaken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	taken := listen(t)
	w.nats = fmt.Sprintf("{embedded: true, listen: %q}", taken)
	mustSay(t, w.refused(), taken+" is used by another program", "nats.listen", "nats.url")
}

func TestPagePortTaken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.listen = listen(t)
	mustSay(t, w.refused(), w.listen+" is used by another program", "listen:", "off")
}

// listen occupies an address.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestSecondDaemonOnOneState(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	first := w.start()
	mustSay(t, w.refused(), "state directory "+w.state+" is in use by another retraind", fmt.Sprint(os.Getpid()), "state:")
	if _, err := first.Snapshot(t.Context()); err != nil {
		t.Errorf("the first one no longer serves: %v", err)
	}
	first.stop()
	w.start().stop() // the state is unlocked again
}

func TestStateDirectoryThatCannotBe(t *testing.T) {
	t.Parallel()
	w := setup(t)
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.state = filepath.Join(file, "state")
	mustSay(t, w.refused(), "state directory", file, "not a directory", "`state:`")
}

// The lock cannot be created in the state directory. /proc refuses even root.
func TestStateDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.state = "/proc/self"
	mustSay(t, w.refused(), "state directory /proc/self", "must be writable")
}

func TestStateDirectoryThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := os.MkdirAll(filepath.Join(w.state, "retraind.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustSay(t, w.refused(), "open store in "+w.state, "cannot be opened")
}
