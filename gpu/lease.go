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

// ErrLeased says that another run holds the device; the error's text names it.
var ErrLeased = errors.New("GPU is leased")

// Leases hands out each GPU of this host once. A lease is a file lock: it ends with the process at the latest, whatever
// happens to it, and every retraind on the host that shares Dir sees it.
type Leases struct {
	Dir string // state directory of the host
}

// Lease is one GPU held by one run.
type Lease struct {
	UUID string
	file *os.File
}

var uuidShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,96}$`)

// TryAcquire takes the device for a run, or returns ErrLeased at once.
func (l Leases) TryAcquire(uuid, run string) (*Lease, error) {
	if !uuidShape.MatchString(uuid) {
		return nil, fmt.Errorf("lease GPU %q: not a device's UUID", uuid)
	}
	path := filepath.Join(l.Dir, "gpu-"+uuid+".lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lease GPU %s: %w by run %s", uuid, ErrLeased, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lease GPU %s: %w", uuid, err)
	}
	// The name is for people; the lock is what counts, so a name that cannot be written does not lose the lease.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(run+"\n"), 0)
	}
	return &Lease{UUID: uuid, file: file}, nil
}

// Release gives the device back. The file stays: removing it would let two holders lock two files of one name.
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
