package systemdtest

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
)

//go:embed boot.sh
var boot string

// path is the PATH that sudo and systemd set.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// patience is the time limit of one command in a box.
const patience = 3 * time.Minute

// Options define which directories of the machine a box has, besides the programs in /usr.
type Options struct {
	Overlays []string          // directories of which the box has a private writable copy, at the same path
	Binds    map[string]string // directories that the box shares, by their path in the box
}

// Box is a running systemd with its namespaces.
type Box struct {
	t      testing.TB
	cgroup string
	leader string // process id of the box's systemd
	log    bytes.Buffer
	end    func()
	ended  chan struct{}
}

// Start boots a box, which ends with the test. If the machine cannot run a box, the test is skipped with the reason, or
// fails if CI=true is set.
func Start(t testing.TB, options Options) *Box {
	t.Helper()
	mount, err := possible()
	if err != nil {
		reason := fmt.Sprintf("no systemd in a box: %v", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	root := t.TempDir()
	var binds []string
	for there, here := range options.Binds {
		binds = append(binds, here, there)
	}
	b := &Box{t: t, ended: make(chan struct{})}
	if b.cgroup, err = os.MkdirTemp(mount, "retraind-test-"); err != nil {
		t.Fatalf("make a cgroup: %v", err)
	}
	// The shell enters the cgroup before it creates the namespaces, because the root of a cgroup namespace is the cgroup
	// of the process that creates it.
	const enter = `echo $$ >"$CGROUP/cgroup.procs" && exec unshare --pid --fork --kill-child=KILL --mount --propagation private ` +
		`--uts --ipc --net --cgroup sh -c "$BOOT"`
	cmd := exec.Command("sh", "-c", enter)
	cmd.Env = append(os.Environ(), "ROOT="+root, "CGROUP="+b.cgroup, "BOOT="+boot,
		"OVERLAYS="+strings.Join(options.Overlays, ":"), "BINDS="+strings.Join(binds, ":"))
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	// If the test binary is killed, its boxes end too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that started the process ends
		started <- cmd.Start()
		_ = cmd.Wait()
		close(b.ended)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start a box: %v", err)
	}
	b.end = func() { _ = cmd.Process.Kill() }
	t.Cleanup(b.stop)
	b.boot(cmd.Process.Pid)
	return b
}

// possible returns where cgroup2 is mounted, or an error if the machine cannot run a box.
func possible() (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("it needs root")
	}
	for _, program := range []string{"unshare", "nsenter", "/lib/systemd/systemd"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%w (Debian: apt-get install systemd util-linux)", err)
		}
	}
	try := exec.Command("unshare", "--pid", "--fork", "--mount", "--net", "--cgroup", "true")
	if out, err := try.CombinedOutput(); err != nil {
		return "", fmt.Errorf("namespaces of its own: %w: %s", err, bytes.TrimSpace(out))
	}
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 3 && f[2] == "cgroup2" && strings.HasPrefix(f[3], "rw") {
			return f[1], nil
		}
	}
	return "", errors.New("cgroup2 is mounted nowhere, or read-only")
}

// boot waits until the box's systemd has finished booting, even if some units have failed.
func (b *Box) boot(shell int) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.t.Context(), waittest.Patience)
	defer stop()
	err := waittest.Until(ctx, "the box to boot", func() (bool, error) {
		select {
		case <-b.ended:
			return false, errors.New("its init process ended")
		default:
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", shell))
		if err != nil {
			return false, err
		}
		b.leader = strings.TrimSpace(string(children))
		if b.leader == "" {
			return false, errors.New("no systemd yet")
		}
		out, err := exec.Command("nsenter", "-t", b.leader, "-a", "systemctl", "is-system-running").CombinedOutput()
		state := strings.TrimSpace(string(out))
		if state == "running" || state == "degraded" {
			return true, nil
		}
		return false, fmt.Errorf("%s: %w", state, err)
	})
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.Bytes())
	}
}

// stop ends all processes of the box and removes its cgroup.
func (b *Box) stop() {
	if b.t.Failed() && b.leader != "" {
		out, _ := b.command(nil, "journalctl", "--no-pager", "-o", "short-monotonic", "-n", "80").CombinedOutput()
		b.t.Logf("the box's journal:\n%s", out)
	}
	b.end()
	<-b.ended
	err := waittest.Until(context.Background(), "the box's cgroup to be empty", func() (bool, error) {
		var dirs []string
		err := filepath.WalkDir(b.cgroup, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, name)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- { // innermost first
			err = os.Remove(dirs[i])
		}
		return err == nil, err
	})
	if err != nil {
		b.t.Error(err)
	}
}

func (b *Box) command(env []string, args ...string) *exec.Cmd {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	b.t.Cleanup(stop)
	enter := append([]string{"-t", b.leader, "-a", "--", "env", "-i", path, "LC_ALL=C.UTF-8", "HOME=/root"}, env...)
	return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
}
