package gpu

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// leaseDirs are the directories in which the leases of this host may be. Only the first one that exists is used.
type leaseDirs []string

// defaultDirs are used if no directory is configured.
var defaultDirs = leaseDirs{"/run/retraind/gpu", "/var/lock/retraind-gpu"}

func dirsOf(configured string) leaseDirs {
	if configured != "" {
		return leaseDirs{configured}
	}
	return defaultDirs
}

// FindLeaseDir returns the directory of this host's leases, for a process that only looks: the configured one or, if
// none is configured, the first of /run/retraind/gpu and /var/lock/retraind-gpu that exists. It returns "" if the
// directory does not exist; then no one holds a lease. A directory that this process may not enter is an error. It does
// not count as missing, because the leases in another directory would not exclude those in this one.
func FindLeaseDir(configured string) (string, error) { return dirsOf(configured).find() }

// LeaseDir returns the directory of this host's leases, for a process that takes one. It is the one that FindLeaseDir
// returns. If none exists, LeaseDir creates one in which only the owner and the group may write: the first one whose
// parent directory exists, else the first one that it can create.
func LeaseDir(configured string) (string, error) { return dirsOf(configured).make() }

// CheckLeaseDir reports why this process could not use the directory of LeaseDir, or could not create it. It creates
// nothing.
func CheckLeaseDir(configured string) error { return dirsOf(configured).check() }

func (dirs leaseDirs) find() (string, error) {
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.IsDir():
			err = &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
		case err == nil:
			err = access(dir, unix.X_OK)
		}
		if err != nil {
			return "", dirError(dir, err)
		}
		return dir, nil
	}
	return "", nil
}

func (dirs leaseDirs) make() (string, error) {
	dir, err := dirs.find()
	if dir != "" || err != nil {
		return dir, err
	}
	for _, dir = range dirs.creatable() {
		if err = makeShared(dir); err == nil {
			return dirs.find() // another process may have created an earlier one meanwhile
		}
	}
	return "", dirError(dir, err)
}

func (dirs leaseDirs) check() error {
	dir, err := dirs.find()
	if dir != "" || err != nil {
		return err
	}
	for _, dir = range dirs.creatable() {
		above := filepath.Dir(dir)
		for !exists(above) {
			above = filepath.Dir(above)
		}
		if err = access(above, unix.W_OK|unix.X_OK); err == nil {
			return nil
		}
	}
	return dirError(dir, err)
}

// creatable returns the directories that may be created: only the first one whose parent directory exists, because the
// users of this parent, such as the daemon, use no other directory. If no parent exists, it returns all of them.
func (dirs leaseDirs) creatable() leaseDirs {
	for _, dir := range dirs {
		if exists(filepath.Dir(dir)) {
			return leaseDirs{dir}
		}
	}
	return dirs
}

// exists reports whether a file exists, or may exist where this process cannot look.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func access(dir string, mode uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, mode, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}

// makeShared creates a directory in which new files belong to its group. The new directory gets the owner and group of
// its parent, so that the daemon may use what root has created in the daemon's directory.
func makeShared(dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o770)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	if err := share(dir, parent); err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	return nil
}

// share gives a new directory the owner and group of its parent, and the mode 2770 or 0770. It does not follow a link
// that the parent's owner may have put in its place.
func share(dir, parent string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	var above, is unix.Stat_t
	if err := cmp.Or(unix.Stat(parent, &above), unix.Fstat(fd, &is)); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if is.Uid != above.Uid || is.Gid != above.Gid {
		err := unix.Fchown(fd, int(above.Uid), int(above.Gid))
		if os.Geteuid() != 0 { // may give it only to one of its own groups
			err = nil
			_ = unix.Fchown(fd, -1, int(above.Gid))
		}
		if err != nil {
			return &fs.PathError{Op: "chown", Path: dir, Err: err}
		}
	}
	// Systemd's RestrictSUIDSGID= refuses the set-group-ID bit. Without it, TryAcquire gives new files the group.
	err = unix.Fchmod(fd, 0o2770)
	if errors.Is(err, unix.EPERM) {
		err = unix.Fchmod(fd, 0o770)
	}
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return nil
}
