//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
)

// engine is a Docker engine of the test's own: it leaves the machine's alone, and may be killed.
type engine struct {
	t    *testing.T
	dir  string
	host string // for DOCKER_HOST
	cmd  *exec.Cmd
}

// startEngine starts a Docker engine from the programs on PATH.
func startEngine(t *testing.T) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a Docker engine needs root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "retraind-docker")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, host: "unix://" + filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() {
		_ = exec.Command("sh", "-c",
			"DOCKER_HOST="+e.host+" timeout 20 docker ps -q | DOCKER_HOST="+e.host+" timeout 20 xargs -r docker rm -f").Run()
		e.kill(syscall.SIGKILL)
		_ = exec.Command("pkill", "-9", "-f", dir).Run() // its containerd
		_ = exec.Command("sh", "-c", "mount | awk '{print $3}' | grep '^"+dir+"' | xargs -r umount -l").Run()
		_ = os.RemoveAll(dir)
	})
	e.start()
	return e
}

func (e *engine) start() {
	e.t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	// What a killed engine left behind keeps the next one from starting: its containerd, and their pid files.
	_ = exec.Command("pkill", "-9", "-f", filepath.Join(e.dir, "exec", "containerd", "containerd.toml")).Run()
	for _, name := range []string{"docker.pid", "exec/containerd/containerd.pid", "exec/containerd/containerd.sock"} {
		_ = os.Remove(filepath.Join(e.dir, name))
	}
	cmd := exec.Command("dockerd", "--data-root", filepath.Join(e.dir, "data"), "--exec-root",
		filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "docker.pid"), "-H", e.host, "--live-restore",
		"--iptables=false", "--ip6tables=false", "--ip-masq=false", "--bridge=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		e.t.Fatalf("start dockerd: %v", err)
	}
	e.cmd = cmd
	waittest.EventuallyNil(e.t, func() error {
		out, err := e.docker("version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker version: %w: %s", err, out)
		}
		return nil
	})
}

// kill ends the engine with a signal and waits for it.
func (e *engine) kill(signal os.Signal) {
	if e.cmd == nil {
		return
	}
	_ = e.cmd.Process.Signal(signal)
	_ = e.cmd.Wait()
	e.cmd = nil
}

func (e *engine) docker(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
	return cmd
}
