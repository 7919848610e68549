package gpu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLeased says that somebody else holds the device; the error's text names them.
var ErrLeased = errors.New("GPU is leased")

// Leases hands out each GPU of this host once. A lease is a lock of flock(2) on one file for each device, in a directory
// that all of a host's daemons, people and scripts share. It is held by whoever has the open file: it can be passed to
// another process, and ends with the last one that has it, whatever happens to it.
type Leases struct {
	Dir string // see LeaseDir
}

// Lease is one GPU held by one owner.
type Lease struct {
	UUID string
	file *os.File
}

var uuidShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,96}$`)

// Path is the file whose lock is the device's lease.
func (l Leases) Path(uuid string) string { return filepath.Join(l.Dir, uuid+".lock") }

// TryAcquire takes the device for an owner, such as "run 01kb…", or returns ErrLeased at once.
func (l Leases) TryAcquire(uuid, owner string) (*Lease, error) {
	if !uuidShape.MatchString(uuid) {
		return nil, fmt.Errorf("lease GPU %q: not a device's UUID", uuid)
	}
	file, err := l.open(uuid)
	if err != nil {
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := ownerIn(file)
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lease GPU %s: %w by %s", uuid, ErrLeased, holder)
		}
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, err)
	}
	// The name is for people; the lock is what counts, so a name that cannot be written does not lose the lease.
	if err := file.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(file, "%s (pid %d)\n", owner, os.Getpid())
	}
	return &Lease{UUID: uuid, file: file}, nil
}

// open opens the device's file so that others of the directory's group can lock it, too. One that another user made
// before may be readable only: that is enough for a lock.
func (l Leases) open(uuid string) (*os.File, error) {
	file, err := os.OpenFile(l.Path(uuid), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o660)
	if errors.Is(err, os.ErrPermission) {
		return os.OpenFile(l.Path(uuid), os.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		_ = file.Chmod(0o660) // the umask may have taken the group's rights; fails where the file is another user's
	}
	return file, err
}

// ownerIn reads who took the lease.
func ownerIn(file *os.File) string {
	text := make([]byte, 200)
	n, _ := file.ReadAt(text, 0)
	owner, _, _ := strings.Cut(string(text[:n]), "\n")
	if owner = strings.TrimSpace(owner); owner == "" {
		return "somebody who gave no name"
	}
	return owner
}

// File is the open file that holds the lease, for exec.Cmd.ExtraFiles: a child that inherits it holds the lease, too, and
// alone once this process has closed it. Its number in the child is 3 plus its index there.
func (l *Lease) File() *os.File { return l.file }

// KeepOnExec lets the lease outlive this program: the one that replaces it by execve has it.
func (l *Lease) KeepOnExec() error {
	_, err := unix.FcntlInt(l.file.Fd(), unix.F_SETFD, 0)
	return err
}

// Release gives the device back, also for children that inherited the lease. The file stays: removing it would let two
// holders lock two files of one name.
func (l *Lease) Release() error {
	if l.file == nil {
		return nil
	}
	// Closing alone would not do while a child is between fork and exec, which has the file until then.
	err := errors.Join(unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("release GPU %s: %w", l.UUID, err)
	}
	return nil
}
