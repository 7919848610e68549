package labelfiles

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/retraind/retraind/watch"
)

// keepGone is how long a file that is gone is remembered, in case it comes back.
const keepGone = 30 * 24 * time.Hour

// maxOpen bounds the files that are kept open.
const maxOpen = 64

// fileState is a regular file of the directory.
type fileState struct {
	inode
	size, mtime int64
}

// scan brings the store up to date with the directory. With thorough, all that was read is compared with what stands
// there now.
func (s *Source) scan(ctx context.Context, thorough bool) error {
	files, err := s.list()
	if err != nil {
		return err
	}
	stored, err := s.inbox.Marks(ctx, watch.SourceFiles)
	if err != nil {
		return err
	}
	marks := map[string]position{}
	for name, text := range stored {
		if marks[name], err = parsePosition(text); err != nil {
			s.Log.Warn("a file is read again from its start", "file", name, "err", err)
			marks[name] = position{Again: true}
		}
	}
	if err := s.rename(ctx, files, marks); err != nil {
		return err
	}
	if err := s.handleMissing(ctx, files, marks); err != nil {
		return err
	}
	followed := map[inode]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mark, known := marks[name]
		if !known && !s.cfg.matches(name) || followed[files[name].inode] {
			continue
		}
		followed[files[name].inode] = true
		if err := s.readFile(ctx, name, files[name], mark, thorough); err != nil {
			return err
		}
	}
	for name := range s.faults {
		if _, ok := files[name]; !ok {
			delete(s.faults, name)
			delete(s.broken, name)
		}
	}
	return nil
}

// list returns the regular files of the directory by name.
func (s *Source) list() (map[string]fileState, error) {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	out := map[string]fileState{}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(s.cfg.Dir, e.Name()))
		if err != nil || !info.Mode().IsRegular() {
			if err == nil && !info.IsDir() && s.cfg.matches(e.Name()) {
				s.fault(e.Name(), "it is not a regular file")
			}
			continue // gone in this moment, or a link that leads nowhere
		}
		out[e.Name()] = fileState{inode: inodeOf(info), size: info.Size(), mtime: info.ModTime().UnixNano()}
	}
	return out, nil
}

// rename moves the positions of files that have another name now. A file is the same when its inode is, and the bytes
// that were read of it last.
func (s *Source) rename(ctx context.Context, files map[string]fileState, marks map[string]position) error {
	names := map[inode]string{}
	for name, f := range files {
		names[f.inode] = name
	}
	renamed := map[string]string{}
	for from, m := range marks {
		to, ok := names[m.inode]
		if !ok || to == from || m.Offset == 0 || files[from].inode == m.inode || !s.same(to, m) {
			continue
		}
		renamed[from] = to
	}
	if len(renamed) == 0 {
		return nil
	}
	for _, to := range renamed {
		if old, ok := marks[to]; ok && renamed[to] == "" { // another file was moved over this one
			if _, err := s.drain(ctx, to, old); err != nil {
				return err
			}
		}
	}
	batch := watch.Batch{Source: watch.SourceFiles, Renamed: renamed, Marks: map[string]string{}}
	moved := map[string]position{}
	for from, to := range renamed {
		moved[to] = marks[from]
		batch.Marks[to] = marks[from].String()
		s.Log.Info("a label file has another name", "from", from, "to", to)
	}
	for from := range renamed {
		delete(marks, from)
	}
	maps.Copy(marks, moved)
	_, err := s.inbox.Take(ctx, batch)
	return err
}

func (s *Source) same(name string, m position) bool {
	file, err := openRegular(filepath.Join(s.cfg.Dir, name))
	if err != nil {
		return false
	}
	defer file.Close()
	c, err := contentOf(name, file)
	if err != nil {
		return false
	}
	defer c.done()
	ok, err := m.continues(c, c.size, false)
	return ok && err == nil
}

// handleMissing handles files that are gone, or have another one in their place: what was written to them before they went is
// read from the open file. They are remembered for a while.
func (s *Source) handleMissing(ctx context.Context, files map[string]fileState, marks map[string]position) error {
	for name, m := range marks {
		now, there := files[name]
		if there && (now.inode == m.inode || m.inode == inode{}) {
			continue
		}
		m, err := s.drain(ctx, name, m)
		if err != nil {
			return err
		}
		switch {
		case there:
			marks[name] = position{inode: now.inode, Again: true} // another file in its place
		case m.Gone.IsZero():
			m.Gone = time.Now().UTC()
			if err := s.setMark(ctx, name, m.String()); err != nil {
				return err
			}
		case time.Since(m.Gone) > keepGone:
			delete(marks, name)
			if err := s.setMark(ctx, name, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain reads what was written to a file before it went, and returns the mark behind it.
func (s *Source) drain(ctx context.Context, name string, m position) (position, error) {
	f := s.open[m.inode]
	if f == nil {
		return m, nil
	}
	delete(s.open, m.inode)
	defer f.Close()
	c, err := contentOf(name, f)
	if err != nil {
		s.fault(name, explainFile(err))
		return m, nil
	}
	defer c.done()
	return s.readOpen(ctx, name, c, m, false)
}

func (s *Source) setMark(ctx context.Context, name, position string) error {
	_, err := s.inbox.Take(ctx, watch.Batch{Source: watch.SourceFiles, Marks: map[string]string{name: position}})
	return err
}

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
