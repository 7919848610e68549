package gpu

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLeased is returned if the device's lease is taken; the error's text names the holder if it is known.
var ErrLeased = errors.New("GPU is leased")

// Leases gives each GPU of this host to one holder at a time. A lease is a flock(2) lock on the device's file, in a
// directory that all daemons, people and scripts of the host share. The lock is bound to the open file: it can be
// passed to another process, and ends when Release unlocks it or when no process has the file open any longer.
type Leases struct {
	Dir string // see LeaseDir
}

// Lease is one GPU held by one owner.
type Lease struct {
	UUID string
	file *os.File
}

var uuidShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,96}$`)

// Path returns the file whose lock is the device's lease.
func (l Leases) Path(uuid string) string { return filepath.Join(l.Dir, uuid+".lock") }

// TryAcquire takes the lease of a device for an owner, such as "run 01kb…", or returns ErrLeased at once.
func (l Leases) TryAcquire(uuid, owner string) (*Lease, error) {
	file, err := l.open(uuid)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := cmp.Or(l.Holder(uuid), ownerIn(file)) // the file may have the name of an earlier holder
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lease GPU %s: %w by %s", uuid, ErrLeased, holder)
		}
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, err)
	}
	// The name is for people only: the lock is the lease, so a failure to write the name is ignored.
	if err := file.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(file, "%s (pid %d)\n", owner, os.Getpid())
	}
	return &Lease{UUID: uuid, file: file}, nil
}

// Check reports why this process could not take the lease of a device even if no one else had it. It creates the
// device's file, but takes no lock.
func (l Leases) Check(uuid string) error {
	file, err := l.open(uuid)
	if err != nil {
		return err
	}
	return file.Close()
}

// open opens the device's file so that others of the directory's group can lock it, too. It opens a file of another
// user only for reading if it may not write it, because that is enough for a lock.
func (l Leases) open(uuid string) (*os.File, error) {
	if !uuidShape.MatchString(uuid) {
		return nil, fmt.Errorf("lease GPU %q: not a device's UUID", uuid)
	}
	file, err := os.OpenFile(l.Path(uuid), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o660)
	if errors.Is(err, os.ErrPermission) {
		if readable, err := os.OpenFile(l.Path(uuid), os.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0); err == nil {
			return readable, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, l.explained(uuid, err))
	}
	// Restore the group's rights that the umask removed. Without the directory's set-group-ID bit, the file also needs
	// the directory's group. Errors are ignored, because the file may be another user's.
	var dir, is unix.Stat_t
	if unix.Stat(l.Dir, &dir) == nil && unix.Fstat(int(file.Fd()), &is) == nil && is.Gid != dir.Gid {
		_ = file.Chown(-1, int(dir.Gid))
	}
	_ = file.Chmod(0o660)
	return file, nil
}

// explained adds the cure to an error of open.
func (l Leases) explained(uuid string, err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	if _, missing := os.Stat(l.Path(uuid)); missing != nil {
		return dirError(l.Dir, err)
	}
	return fmt.Errorf("%w (let root give the file to the directory's group: "+
		"`sudo chgrp --reference=%s %[3]s; sudo chmod 0660 %[3]s`)", err, l.Dir, l.Path(uuid))
}

// ownerIn reads who took the lease.
func ownerIn(file *os.File) string {
	text := make([]byte, 200)
	n, _ := file.ReadAt(text, 0)
	owner, _, _ := strings.Cut(string(text[:n]), "\n")
	if owner = strings.TrimSpace(owner); owner == "" {
		return "an unnamed holder"
	}
	return owner
}

// File returns the open file of the lease, for exec.Cmd.ExtraFiles. A child that inherits it still holds the lease
// after this process has died, but not after Release. The child's descriptor is 3 plus the file's index in ExtraFiles.
func (l *Lease) File() *os.File { return l.file }

// KeepOnExec keeps the lease open across execve.
func (l *Lease) KeepOnExec() error {
	_, err := unix.FcntlInt(l.file.Fd(), unix.F_SETFD, 0)
	return err
}

// Release releases the lease, even if children have inherited it. The file is kept: removing it would let two holders
// lock two files of the same name.
func (l *Lease) Release() error {
	if l.file == nil {
		return nil
	}
	// Closing alone is not enough while a child between fork and exec still has the file open.
	err := errors.Join(unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("release GPU %s: %w", l.UUID, err)
	}
	return nil
}
