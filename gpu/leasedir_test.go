package gpu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
}

// as runs f in a thread of another user, which has no other groups and no rights of root.
func as(t *testing.T, uid, gid int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with its function
		var err error
		defer func() { done <- err }()
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				err = errno
				return
			}
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The daemon's user and group, a member of the group, and a user outside it, as numbers that no account has.
const daemonUID, daemonGID, otherUID, otherGID = 54321, 54321, 54322, 54322

// machine returns a directory that every user may enter, like /.
func machine(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "retraind-lease-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// directory creates a directory with an owner, group and mode.
func directory(t *testing.T, path string, uid, gid int, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// A user outside the group may not enter the daemon's directory, and gets no lease in another directory instead: two
// processes would use one GPU.
func TestNoLeaseBesideTheDaemons(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	root := machine(t)
	dirs := leaseDirs{filepath.Join(root, "run/gpu"), filepath.Join(root, "lock/gpu")}
	directory(t, filepath.Join(root, "run"), daemonUID, daemonGID, 0o750)
	directory(t, filepath.Join(root, "lock"), 0, 0, 0o777|fs.ModeSticky)
	for _, made := range []bool{false, true} { // it is the same while the daemon has not created the directory
		if made {
			as(t, daemonUID, daemonGID, func() {
				if dir, err := dirs.make(); dir != dirs[0] || err != nil {
					t.Errorf("the daemon's is %q, %v", dir, err)
				}
			})
		}
		as(t, otherUID, otherGID, func() {
			for name, get := range map[string]func() (string, error){
				"take": dirs.make, "look": dirs.find, "check": func() (string, error) { return "", dirs.check() },
			} {
				dir, err := get()
				if !errors.Is(err, fs.ErrPermission) {
					t.Errorf("%s: got %q, %v", name, dir, err)
					continue
				}
				for _, want := range []string{dirs[0], "permission denied", "join the group 54321", "sudo", "gpu.leases"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: it says %q, which lacks %q", name, err, want)
					}
				}
			}
		})
		if _, err := os.Lstat(dirs[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("another directory was created: %v", err)
		}
	}
	as(t, otherUID, daemonGID, func() { // a member of the group
		dir, err := dirs.make()
		if err != nil || dir != dirs[0] {
			t.Errorf("a member's is %q, %v", dir, err)
			return
		}
		lease, err := Leases{Dir: dir}.TryAcquire("GPU-1", "bob")
		if err == nil {
			err = lease.Release()
		}
		if err != nil {
			t.Error(err)
		}
	})
	as(t, daemonUID, daemonGID, func() {
		if err := (Leases{Dir: dirs[0]}).Check("GPU-1"); err != nil {
			t.Error(err)
		}
	})
}

// If the daemon's directory does not exist, leases belong in the next one.
func TestLeasesWithoutADaemon(t *testing.T) {
	t.Parallel()
	root := machine(t)
	dirs := leaseDirs{filepath.Join(root, "run/gpu"), filepath.Join(root, "lock/gpu")}
	if err := os.Mkdir(filepath.Join(root, "lock"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := dirs.check(); err != nil {
		t.Error(err)
	}
	for range 2 { // looking creates nothing
		if dir, err := dirs.find(); dir != "" || err != nil {
			t.Fatalf("got %q, %v", dir, err)
		}
	}
	for range 2 {
		if dir, err := dirs.make(); dir != dirs[1] || err != nil {
			t.Fatalf("got %q, %v", dir, err)
		}
	}
	devices := []Device{{UUID: "GPU-1"}}
	Leases{}.Mark(devices)
	if devices[0].Lease != "" {
		t.Errorf("without a directory, GPU-1 is leased by %q", devices[0].Lease)
	}
}

// What root creates in the daemon's directory belongs to the daemon: `sudo retraind gpu hold` before the first run does
// not lock the daemon out.
func TestRootCreatesForTheDaemon(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	root := machine(t)
	dirs := leaseDirs{filepath.Join(root, "run/gpu")}
	directory(t, filepath.Join(root, "run"), daemonUID, daemonGID, 0o750)
	if dir, err := dirs.make(); dir != dirs[0] || err != nil {
		t.Fatalf("got %q, %v", dir, err)
	}
	leases := Leases{Dir: dirs[0]}
	lease, err := leases.TryAcquire("GPU-1", "root")
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	as(t, daemonUID, daemonGID, func() {
		for _, uuid := range []string{"GPU-1", "GPU-2"} {
			if err := leases.Check(uuid); err != nil {
				t.Error(err)
			}
		}
	})
	// In a directory without the set-group-ID bit, too, files belong to the directory's group.
	if err := os.Chmod(dirs[0], 0o770); err != nil {
		t.Fatal(err)
	}
	if err := leases.Check("GPU-3"); err != nil {
		t.Fatal(err)
	}
	as(t, daemonUID, daemonGID, func() {
		if err := leases.Check("GPU-3"); err != nil {
			t.Error(err)
		}
	})
}

// The error of a directory or file that another user has created with the wrong rights has a command as the cure.
func TestLeaseOfAnotherUser(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	root := machine(t)
	dirs := leaseDirs{filepath.Join(root, "gpu")}
	directory(t, dirs[0], 0, 0, 0o770|fs.ModeSetgid)
	as(t, daemonUID, daemonGID, func() {
		if _, err := dirs.make(); err == nil || !strings.Contains(err.Error(), "install -d -m 2770 -g retraind "+dirs[0]) {
			t.Errorf("got %v", err)
		}
	})
	if err := os.Chown(dirs[0], daemonUID, daemonGID); err != nil {
		t.Fatal(err)
	}
	leases := Leases{Dir: dirs[0]}
	if err := os.WriteFile(leases.Path("GPU-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(leases.Path("GPU-1"), 0, 0); err != nil {
		t.Fatal(err)
	}
	as(t, daemonUID, daemonGID, func() {
		_, err := leases.TryAcquire("GPU-1", "run r_1")
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrLeased) ||
			!strings.Contains(err.Error(), "sudo chmod 0660 "+leases.Path("GPU-1")) {
			t.Errorf("got %v", err)
		}
	})
}

// A link in place of a lease's file is not followed: a member of the group could let root write another file.
func TestLeaseFollowsNoLink(t *testing.T) {
	t.Parallel()
	const uuid = "GPU-11111111-2222-3333-4444-555555555555"
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("important"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := Leases{Dir: dir}
	if err := os.Symlink(other, l.Path(uuid)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.TryAcquire(uuid, "run x"); err == nil {
		t.Error("no error for a link")
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "important" {
		t.Errorf("the other file has %q, %v", b, err)
	}
}
