package pgcluster

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func start(t *testing.T) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), Options{})
	if errors.Is(err, ErrNoBinaries) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// accepts reports whether a server listens on the cluster's socket.
func accepts(c *Cluster) bool {
	conn, err := net.Dial("unix", filepath.Join(c.Dir(), ".s.PGSQL.5432"))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func TestLife(t *testing.T) {
	t.Parallel()
	c := start(t)
	if !accepts(c) {
		t.Fatal("a started cluster does not accept connections")
	}
	pid := c.server.pid
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("the server still runs after Kill: %v", err)
	}
	if err := c.Kill(); err == nil {
		t.Error("killing twice succeeded")
	}
	for range 2 { // from down, then from up
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !accepts(c) {
			t.Fatal("a restarted cluster does not accept connections")
		}
	}
	pid = c.server.pid
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the server still runs after Stop: %v", err)
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stop left the directory: %v", err)
	}
}

func TestBadSettingSaysWhy(t *testing.T) {
	t.Parallel()
	if _, err := Binaries(); err != nil {
		start(t) // skips or fails
	}
	_, err := Start(t.Context(), Options{Settings: map[string]string{"shared_buffers": "lots"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("got %v, want the server's own reason", err)
	}
}
