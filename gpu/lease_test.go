package gpu_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/retraind/retraind/gpu"
)

func TestLease(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	first, err := leases.TryAcquire("GPU-aaaa", "r_1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = leases.TryAcquire("GPU-aaaa", "r_2")
	if !errors.Is(err, gpu.ErrLeased) || !strings.Contains(err.Error(), "by run r_1") {
		t.Errorf("second lease: got %v, want ErrLeased that names r_1", err)
	}
	other, err := leases.TryAcquire("GPU-bbbb", "r_2")
	if err != nil {
		t.Errorf("another device: %v", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	for range 2 { // giving back twice is harmless
		if err := first.Release(); err != nil {
			t.Error(err)
		}
	}
	again, err := leases.TryAcquire("GPU-aaaa", "r_2")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Release() }()
	for _, bad := range []string{"", "../GPU", "GPU aaaa"} {
		if _, err := leases.TryAcquire(bad, "r_3"); err == nil || errors.Is(err, gpu.ErrLeased) {
			t.Errorf("lease of %q: got %v", bad, err)
		}
	}
	if _, err := (gpu.Leases{Dir: leases.Dir + "/missing"}).TryAcquire("GPU-aaaa", "r_3"); err == nil || errors.Is(err, gpu.ErrLeased) {
		t.Errorf("lease in a missing directory: got %v", err)
	}
}

// A child must not inherit the lease: a training that outlives the daemon would hold it without knowing.
func TestLeaseIsNotInherited(t *testing.T) {
	t.Parallel()
	leases := gpu.Leases{Dir: t.TempDir()}
	lease, err := leases.TryAcquire("GPU-aaaa", "r_1")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/bin/cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stdout = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer stdin.Close()
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := leases.TryAcquire("GPU-aaaa", "r_2")
	if err != nil {
		t.Fatalf("after release, with a child alive: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}
