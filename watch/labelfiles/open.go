package labelfiles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/retraind/retraind/watch"
)

// openRegular opens a file without blocking on a pipe whose other end is missing.
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

// openFile opens a file of the directory, or returns it if it is still open. Up to maxOpen files stay open, so that
// lines that are written while a file is renamed or removed are still read.
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
		for old := range s.open { // any of them: an open file is needed only if the file is moved away
			s.closeFile(old)
			break
		}
	}
	s.open[id] = f
	return f, nil
}

// closeFile closes a file if it is open. It is also called after a read error, because the handle may be stale: the next
// scan opens the file again.
func (s *Source) closeFile(id inode) {
	if f := s.open[id]; f != nil {
		_ = f.Close() // nothing was written to it
		delete(s.open, id)
	}
}

// errReplaced means that a name refers to a different file than when the directory was listed. The next scan reads the
// new file.
var errReplaced = errors.New("the file was replaced just now")

// explainFile returns the cause and the cure of an error from opening or reading a file.
func explainFile(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "no permission to read it: give the user that runs retraind read permission"
	}
	return watch.OneLine(err)
}
