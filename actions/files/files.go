// Package files reads and writes files below directories that others, such as a training or an operator, also write to.
//
// Each directory is given as an os.Root, so that no link leads out of it. Only regular files are read, and a file is
// replaced atomically, after the new content has been synced. The package has no state; its functions are safe for
// concurrent use on different files.
package files

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// KindOf names the type of something that is not a regular file, for messages.
func KindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m.IsDir():
		return "a directory"
	}
	return "not a regular file"
}

// OpenRegular opens a file below a root. It returns an error if the file is no longer the one that want describes, and
// does not block if a pipe has replaced it.
func OpenRegular(root *os.Root, at string, want fs.FileInfo) (*os.File, error) {
	in, err := root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	have, err := in.Stat()
	if err == nil && !os.SameFile(have, want) {
		err = errors.New("it was replaced while it was read")
	}
	if err != nil {
		return nil, cmp.Or(err, in.Close())
	}
	return in, nil
}

// WriteInto writes a file below a root. It replaces the file atomically, after it has synced the new content, and then
// syncs the directory.
func WriteInto(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	part := filepath.Join(filepath.Dir(name), ".retraind-"+filepath.Base(name)+".part")
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(part))
	}
	dir, err := root.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// FreeSpace returns the bytes that are available to this user in a directory's file system.
func FreeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// HashOf returns the SHA-256 of what is read, in hexadecimal digits.
func HashOf(f io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// HashAt returns the SHA-256 of a file below a root. It returns an error if the file is no longer the one that info
// describes.
func HashAt(root *os.Root, at string, info fs.FileInfo) (string, error) {
	f, err := OpenRegular(root, at, info)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return HashOf(f)
}
