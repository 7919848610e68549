package labelfiles

import (
	"context"
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

// settles limits how often list repeats a listing.
const settles = 5

// list returns the regular files of the directory by name. It repeats the listing, at most settles times, until two
// successive listings have the same files under the same names: a file that is renamed during a listing may be in it
// twice or not at all. A file that is not in the listing would count as removed, and its successor as rewritten.
func (s *Source) list() (map[string]fileState, error) {
	last, err := s.listOnce()
	for range settles {
		if err != nil {
			return nil, err
		}
		next, nextErr := s.listOnce()
		if maps.EqualFunc(last, next, func(a, b fileState) bool { return a.inode == b.inode }) {
			return next, nextErr
		}
		last, err = next, nextErr
	}
	return last, err
}

func (s *Source) listOnce() (map[string]fileState, error) {
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
			continue // not a regular file, removed just now, or a dangling link
		}
		out[e.Name()] = fileState{inode: inodeOf(info), size: info.Size(), mtime: info.ModTime().UnixNano()}
	}
	return out, nil
}
