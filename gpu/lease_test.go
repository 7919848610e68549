package gpu_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/waittest"
)

func TestLease(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	first, err := leases.TryAcquire("GPU-aaaa", "run r_1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = leases.TryAcquire("GPU-aaaa", "run r_2")
	if !errors.Is(err, gpu.ErrLeased) || !strings.Contains(err.Error(), "by run r_1 (pid ") {
		t.Errorf("second lease: got %v, want ErrLeased that names r_1", err)
	}
	other, err := leases.TryAcquire("GPU-bbbb", "run r_2")
	if err != nil {
		t.Errorf("another device: %v", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	for range 2 { // releasing twice is harmless
		if err := first.Release(); err != nil {
			t.Error(err)
		}
	}
	again, err := leases.TryAcquire("GPU-aaaa", "run r_2")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Release() }()
	for _, bad := range []string{"", "../GPU", "GPU aaaa"} {
		if _, err := leases.TryAcquire(bad, "r_3"); err == nil || errors.Is(err, gpu.ErrLeased) {
			t.Errorf("lease of %q: got %v", bad, err)
		}
	}
	if _, err := (gpu.Leases{Dir: leases.Dir + "/missing"}).TryAcquire("GPU-aaaa", "r_3"); err == nil ||
		errors.Is(err, gpu.ErrLeased) {
		t.Errorf("lease in a missing directory: got %v", err)
	}
}

// command starts a program that runs until its standard input is closed.
func command(t *testing.T, cmd *exec.Cmd) (end func()) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	return end
}

// A child does not inherit the lease by accident: a training that outlives the daemon would hold it unknowingly.
func TestLeaseIsNotInheritedByChance(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	lease, err := leases.TryAcquire("GPU-aaaa", "run r_1")
	if err != nil {
		t.Fatal(err)
	}
	command(t, exec.Command("/bin/cat"))
	if err := lease.File().Close(); err != nil {
		t.Fatal(err)
	}
	becomesFree(t, leases) // with a child alive
}

// A supervisor that got the open file holds the lease after the daemon has ended, until it ends itself.
func TestLeaseIsHandedOver(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	lease, err := leases.TryAcquire("GPU-aaaa", "run r_1")
	if err != nil {
		t.Fatal(err)
	}
	supervisor := exec.Command("/bin/cat")
	supervisor.ExtraFiles = []*os.File{lease.File()}
	end := command(t, supervisor)
	if err := lease.File().Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.TryAcquire("GPU-aaaa", "run r_2"); !errors.Is(err, gpu.ErrLeased) ||
		!strings.Contains(err.Error(), "run r_1") {
		t.Fatalf("while the supervisor lives: %v", err)
	}
	end()
	becomesFree(t, leases)
}

// becomesFree waits until GPU-aaaa can be leased: a child that another test is starting has a copy of every open file until
// its execve.
func becomesFree(t *testing.T, leases gpu.Leases) {
	t.Helper()
	waittest.EventuallyNil(t, func() error {
		lease, err := leases.TryAcquire("GPU-aaaa", "run r_2")
		if err != nil {
			return err
		}
		return lease.Release()
	})
}

// Scripts can use flock(1): a lock taken there is a lease here, and the other way round.
func TestFlockJoins(t *testing.T) {
	t.Parallel()
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip(err)
	}
	leases := gpu.Leases{Dir: sharedMemory(t)}
	path := leases.Path("GPU-aaaa")
	script := exec.Command(flock, path, "/bin/sh", "-c", "echo ready; exec cat")
	ready, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	end := command(t, script)
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	// The file still has the name of an earlier holder, since flock(1) writes none.
	if err := os.WriteFile(path, []byte("run r_0 (pid 1)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := leases.TryAcquire("GPU-aaaa", "run r_1"); !errors.Is(err, gpu.ErrLeased) || !strings.Contains(err.Error(), "flock") {
		t.Fatalf("beside a script: %v", err)
	}
	if got := leases.Holder("GPU-aaaa"); !strings.Contains(got, "flock") {
		t.Errorf("the holder is %q, want flock's process", got)
	}
	end()
	lease, err := leases.TryAcquire("GPU-aaaa", "run r_1")
	if err != nil {
		t.Fatal(err)
	}
	if got := leases.Holder("GPU-aaaa"); !strings.HasPrefix(got, "run r_1 (pid ") {
		t.Errorf("the holder is %q", got)
	}
	err = exec.Command(flock, "--nonblock", "--conflict-exit-code", "75", path, "/bin/true").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 75 {
		t.Errorf("a script beside a run: %v", err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	if got := leases.Holder("GPU-aaaa"); got != "" {
		t.Errorf("after the release the holder is %q", got)
	}
	if err := exec.Command(flock, "--nonblock", path, "/bin/true").Run(); err != nil {
		t.Errorf("a script afterwards: %v", err)
	}
}

// sharedMemory returns a directory on a file system for which /proc/locks has the same device number as stat. The file
// system of /run is such a one, too.
func sharedMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "retraind-lease-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestLeaseDir(t *testing.T) {
	t.Parallel()
	want := filepath.Join(t.TempDir(), "run", "gpu")
	for range 2 {
		dir, err := gpu.LeaseDir(want)
		info, statErr := os.Stat(want)
		if err != nil || statErr != nil || dir != want || info.Mode().Perm() != 0o770 || info.Mode()&os.ModeSetgid == 0 {
			t.Fatalf("got %q, %v; %v", dir, err, info)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		if dir, err := gpu.LeaseDir(bad); err == nil || !strings.Contains(err.Error(), "install -d -m 2770") {
			t.Errorf("%s: got %q, %v", bad, dir, err)
		}
	}
}
