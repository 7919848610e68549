package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// dirError says why a directory of leases cannot be used, and the cure.
func dirError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the directory of GPU leases %s: no permission for user %s: %w (%s)", dir, userName(), err, cure(dir))
	}
	return fmt.Errorf("the directory of GPU leases %s: %w (set gpu.leases to a directory that all users of the GPUs share; "+
		"create it with `install -d -m 2770 -g retraind DIRECTORY`)", dir, err)
}

// cure says how this process's user gets the right to use a directory of leases: by joining the group of the directory
// or of its closest existing parent, or with the help of root.
func cure(dir string) string {
	group := ""
	for path := dir; group == "" && path != "/" && path != "."; path = filepath.Dir(path) {
		var s unix.Stat_t
		if unix.Stat(path, &s) != nil {
			continue
		}
		if s.Gid == 0 {
			break
		}
		group = strconv.FormatUint(uint64(s.Gid), 10)
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
	}
	if group == "" || inGroup(group) {
		return "let root give it to the group of the GPUs' users, for example with `sudo install -d -m 2770 -g retraind " +
			dir + "`, or set gpu.leases to a directory that all users of the GPUs share"
	}
	return fmt.Sprintf("join the group %s, for example with `sudo adduser %s %[1]s` and a new login, or use sudo, or set gpu.leases "+
		"to a directory that all users of the GPUs share", group, userName())
}

// inGroup reports whether this process is in a group, so that joining it is no cure.
func inGroup(name string) bool {
	gids, err := os.Getgroups()
	if err != nil {
		return false
	}
	for _, gid := range append(gids, os.Getegid()) {
		id := strconv.Itoa(gid)
		if g, err := user.LookupGroupId(id); id == name || err == nil && g.Name == name {
			return true
		}
	}
	return false
}

// userName returns the name of this process's user.
func userName() string {
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
