package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// socketRoom is the maximum length of a directory's path with which "/.s.PGSQL.5432" still fits into a socket address.
const socketRoom = 90

// serverOwner returns the user who runs the server, or nil for this process's own user. PostgreSQL refuses to run as
// root, so for root it is the user postgres or nobody.
func serverOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("start postgresql: user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("start postgresql: it refuses to run as root, and there is neither a user postgres nor nobody")
}

// shortTempDir creates a directory that the server's owner can reach. Its path is short enough for the socket.
func shortTempDir(owner *syscall.Credential) (string, error) {
	base := os.TempDir()
	if len(base)+len("/rt-pg-0123456789") > socketRoom || owner != nil && !open(base) {
		base = "/tmp"
	}
	return os.MkdirTemp(base, "rt-pg-")
}

// open reports whether everybody may enter a directory and all its parents.
func open(dir string) bool {
	dir, err := filepath.Abs(dir)
	for err == nil {
		var info os.FileInfo
		if info, err = os.Stat(dir); err == nil && info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return err == nil
}
