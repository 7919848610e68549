package labelfiles

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/retraind/retraind/watch"
)

// keepGone is how long the position of a removed file is kept, in case the file is restored.
const keepGone = 30 * 24 * time.Hour

// maxOpen limits the number of files that are kept open.
const maxOpen = 64

// fileState is a regular file of the directory.
type fileState struct {
	inode
	size, mtime int64
}

// scan reads all new lines of the directory. If thorough is set, it also compares what was read before with the current
// content, in each file that was written to since its last full comparison.
func (s *Source) scan(ctx context.Context, thorough bool) error {
	files, odd, err := s.list()
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
			s.Log.Warn("the stored position in a label file is unreadable; the file is read again from its start",
				"file", name, "err", err)
			marks[name] = fromStart()
		}
	}
	if err := s.rename(ctx, files, marks); err != nil {
		return err
	}
	if err := s.handleMissing(ctx, files, marks); err != nil {
		return err
	}
	followed, named := map[inode]bool{}, map[inode]bool{}
	for name := range marks {
		named[files[name].inode] = true
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mark, known := marks[name]
		// A hard link to a file that is followed under another name is not a new file.
		if !known && (!s.cfg.matches(name) || named[files[name].inode]) || followed[files[name].inode] {
			continue
		}
		followed[files[name].inode] = true
		if err := s.readFile(ctx, name, files[name], mark, thorough); err != nil {
			return err
		}
	}
	maps.DeleteFunc(s.ahead, func(id inode, _ firstSeen) bool { return !followed[id] })
	for name, cause := range odd {
		s.fault(name, cause)
	}
	for name := range s.faults {
		if _, ok := files[name]; !ok && odd[name] == "" {
			delete(s.faults, name)
			delete(s.broken, name)
		}
	}
	return nil
}

// settles limits how often list repeats a listing.
const settles = 5

// list returns the regular files of the directory by name, and the faults of label files that are not regular or cannot
// be looked up. It repeats the listing, at most settles times, until two successive listings have the same files under
// the same names: a file that is renamed during a listing may be in it twice or not at all. A file that is not in the
// listing would count as removed, and its successor as rewritten.
func (s *Source) list() (files map[string]fileState, odd map[string]string, err error) {
	last, odd, err := s.listOnce()
	for range settles {
		if err != nil {
			return nil, nil, err
		}
		next, nextOdd, nextErr := s.listOnce()
		if maps.EqualFunc(last, next, func(a, b fileState) bool { return a.inode == b.inode }) {
			return next, nextOdd, nextErr
		}
		last, odd, err = next, nextOdd, nextErr
	}
	return last, odd, err
}

func (s *Source) listOnce() (files map[string]fileState, odd map[string]string, err error) {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return nil, nil, err
	}
	files, odd = map[string]fileState{}, map[string]string{}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(s.cfg.Dir, e.Name()))
		switch {
		case err == nil && info.Mode().IsRegular():
			files[e.Name()] = fileState{inode: inodeOf(info), size: info.Size(), mtime: info.ModTime().UnixNano()}
		case err == nil && info.IsDir() || errors.Is(err, fs.ErrNotExist) || !s.cfg.matches(e.Name()):
			// A directory, a file that was removed just now, a dangling link, or no label file.
		case err != nil:
			odd[e.Name()] = explainFile(err)
		default:
			odd[e.Name()] = "it is not a regular file"
		}
	}
	return files, odd, nil
}
