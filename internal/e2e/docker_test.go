//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/waittest"
)

// engine is a Docker engine for one test, which may kill it. The engine and its containers run in separate process and
// mount namespaces, so that all of them end with the test.
type engine struct {
	t      *testing.T
	dir    string
	host   string // for DOCKER_HOST
	leader string // process id of the namespaces' first process
	cmd    *exec.Cmd
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
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e.enclose()
	e.start()
	return e
}

// enclose creates the namespaces. They end with the test, or if this process is killed.
func (e *engine) enclose() {
	e.t.Helper()
	// The first process of a namespace also reaps orphaned processes.
	cmd := exec.Command("unshare", "--pid", "--mount", "--mount-proc", "--propagation", "private", "--fork",
		"--kill-child=KILL", "sh", "-c", "while sleep 1; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that started the process ends
		started <- cmd.Start()
		_ = cmd.Wait()
		close(ended)
	}()
	if err := <-started; err != nil {
		e.t.Fatalf("unshare: %v", err)
	}
	e.t.Cleanup(func() {
		clean := exec.Command("sh", "-c",
			"timeout 20 docker ps -aq | timeout 20 xargs -r docker rm -f; timeout 20 docker network prune -f") // or bridges stay
		clean.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
		_ = clean.Run()
		_ = cmd.Process.Kill()
		<-ended
	})
	waittest.EventuallyNil(e.t, func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if e.leader = strings.TrimSpace(string(children)); err == nil && e.leader == "" {
			err = fmt.Errorf("unshare has no child yet")
		}
		return err
	})
}

// inside returns a command in the engine's namespaces.
func (e *engine) inside(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", e.leader, "--pid", "--mount", "--"}, args...)...)
}

func (e *engine) start() {
	e.t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	// What a killed engine leaves behind would prevent the next start: its containerd process, and both pid files.
	_ = e.inside("pkill", "-9", "-f", filepath.Join(e.dir, "exec", "containerd", "containerd.toml")).Run()
	for _, name := range []string{"docker.pid", "exec/containerd/containerd.pid", "exec/containerd/containerd.sock"} {
		_ = os.Remove(filepath.Join(e.dir, name))
	}
	cmd := e.inside("dockerd", "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"),
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

// kill kills the engine but not its containers.
func (e *engine) kill() {
	e.t.Helper()
	pid, err := os.ReadFile(filepath.Join(e.dir, "docker.pid"))
	if err != nil {
		e.t.Fatal(err)
	}
	if out, err := e.inside("kill", "-KILL", strings.TrimSpace(string(pid))).CombinedOutput(); err != nil {
		e.t.Fatalf("kill the engine: %v: %s", err, out)
	}
	_ = e.cmd.Wait()
}

func (e *engine) docker(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
	return cmd
}
