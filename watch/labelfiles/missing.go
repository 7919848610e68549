package labelfiles

import (
	"context"
	"maps"
	"path/filepath"
	"time"

	"github.com/retraind/retraind/watch"
)

// rename moves the positions of renamed files to their new names. It recognizes a file by its inode and by the last
// bytes that were read from it.
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
		if old, ok := marks[to]; ok && renamed[to] == "" { // the renamed file has replaced a file with this name
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
		s.Log.Info("a label file was renamed", "from", from, "to", to)
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

// handleMissing handles files that were removed or replaced. If the old file is still open, handleMissing reads the
// lines that were written to it before the removal. It keeps the position of a removed file for keepGone.
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
			marks[name] = fromStart() // another file has this name now
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

// drain reads the rest of a removed or replaced file, and returns the position after it. If the file is not open any
// more, it returns the position unchanged.
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
	c.final = true
	return s.readOpen(ctx, name, c, m, false)
}

func (s *Source) setMark(ctx context.Context, name, position string) error {
	_, err := s.inbox.Take(ctx, watch.Batch{Source: watch.SourceFiles, Marks: map[string]string{name: position}})
	return err
}
