package labelfiles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/retraind/retraind/watch"
)

// openRegular opens a file without waiting for the other end of a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("it is not a regular file"), err, f.Close())
	}
	return f, nil
}

// openFile returns the open file of a name. It stays open, so that what is written to it while it is moved away is read.
func (s *Source) openFile(name string, id inode) (*os.File, error) {
	if f := s.open[id]; f != nil {
		return f, nil
	}
	f, err := openRegular(filepath.Join(s.cfg.Dir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && inodeOf(info) != id {
		err = errReplaced
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if len(s.open) >= maxOpen {
		for old, f := range s.open { // whichever: it is only of use when the file is moved away
			_ = f.Close() // only read from
			delete(s.open, old)
			break
		}
	}
	s.open[id] = f
	return f, nil
}

// errReplaced: the name has another file than a moment ago; the next look sees it.
var errReplaced = errors.New("the file was replaced just now")

// explainFile says what keeps a file from being read.
func explainFile(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "it may not be read: give the user that runs retraind read permission"
	}
	return watch.OneLine(err)
}
