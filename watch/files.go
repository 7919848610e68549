package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// FilesSource follows the label files of a directory. It implements Source.
//
// A file is a sequence of statements, one a line. It may grow, be replaced, be cut, be renamed and be rotated: the
// position of each file is kept by its inode, together with a hash of all that was read, and moves in the transaction
// that stores the lines. A line is read only when it is whole. To be told of changes is a convenience: all files are
// looked at again after each Poll, and what was read is then compared with what stands there now.
type FilesSource struct {
	*steady
	cfg     *Files
	decoder *Decoder
	inbox   Inbox
	open    map[inode]*os.File // files that may be moved away while they are written to; owned by Run
	faults  map[string]string  // what is wrong with a file as a whole, by its name; owned by Run
	broken  map[string]present // gzip files that cannot be unpacked, as they stood; owned by Run
}

var _ Source = (*FilesSource)(nil)

// NewFiles returns the source of a model's label files. poke is called after each stored batch with the number of
// events; it must not block.
func NewFiles(model string, cfg *Files, decoder *Decoder, inbox Inbox, poke func(n int), log *slog.Logger) *FilesSource {
	return &FilesSource{
		steady: newSteady(model, SourceFiles, poke, log), cfg: cfg, decoder: decoder, inbox: inbox,
		open: map[inode]*os.File{}, faults: map[string]string{},
		broken: map[string]present{},
	}
}

// Name implements Source.
func (s *FilesSource) Name() string { return SourceFiles }

// Probe reports as a *Fault whatever would keep Run from following the directory.
func (s *FilesSource) Probe(context.Context) error { return s.cfg.probe() }

func (c *Files) probe() error {
	info, err := os.Stat(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Fault{Key: "dir", Cause: fmt.Sprintf("the directory of label files %s does not exist", c.Dir), Cure: "create it, or correct labels.files.dir", Err: err}
	case err == nil && !info.IsDir():
		return &Fault{Key: "dir", Cause: c.Dir + " is not a directory", Cure: "name the directory in labels.files.dir, the files in labels.files.pattern"}
	case err == nil:
		_, err = os.ReadDir(c.Dir)
	}
	if errors.Is(err, fs.ErrPermission) {
		return &Fault{Key: "dir", Cause: fmt.Sprintf("the directory of label files %s may not be read by user id %d", c.Dir, os.Geteuid()), Cure: "give its group read and search permission", Err: err}
	}
	return err
}

// Run implements Source. It ends with ctx only.
func (s *FilesSource) Run(ctx context.Context) error {
	defer s.closeAll()
	return s.keepTrying(ctx, s.follow)
}

func (s *FilesSource) closeAll() {
	for id, f := range s.open {
		_ = f.Close() // only read from
		delete(s.open, id)
	}
}

// follow looks at the files whenever something tells of a change, and after each Poll, until the directory is gone.
func (s *FilesSource) follow(ctx context.Context, well func()) error {
	if err := s.cfg.probe(); err != nil {
		return err
	}
	events, stop := s.listen()
	defer stop()
	dir, err := identify(s.cfg.Dir)
	if err != nil {
		return err
	}
	poll := time.NewTicker(s.cfg.poll())
	defer poll.Stop()
	thorough := true
	for {
		began := time.Now()
		if err := s.scan(ctx, thorough); err != nil {
			return err
		}
		well()
		thorough = false
		// A directory with very many files must not keep a core busy.
		if err := rest(ctx, 4*time.Since(began), events); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-events:
		case <-s.retry:
		case <-poll.C:
			thorough = true
		}
		if now, err := identify(s.cfg.Dir); err != nil || now != dir {
			if err := s.cfg.probe(); err != nil {
				return err
			}
			return fmt.Errorf("the directory %s was replaced by another", s.cfg.Dir)
		}
	}
}

// rest waits for a short while in which nothing is looked at; what is told meanwhile stays in events.
func rest(ctx context.Context, d time.Duration, events chan struct{}) error {
	timer := time.NewTimer(min(max(d, 2*time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// listen asks the kernel to tell of changes in the directory. Where it cannot, polling does.
func (s *FilesSource) listen() (events chan struct{}, stop func()) {
	events = make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(s.cfg.Dir); err != nil {
			err = errors.Join(err, watcher.Close())
		}
	}
	if err != nil {
		s.log.Warn("the kernel does not tell of changes in the directory; it is looked at now and then", "dir", s.cfg.Dir, "every", s.cfg.poll(), "err", err)
		return events, func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case _, ok := <-watcher.Events:
				if !ok {
					return
				}
			case _, ok := <-watcher.Errors: // such as too many events at once: look at everything
				if !ok {
					return
				}
			}
			select {
			case events <- struct{}{}:
			default:
			}
		}
	}()
	return events, func() {
		if err := watcher.Close(); err != nil {
			s.log.Debug("close the watch", "err", err)
		}
		<-done
	}
}

// fault keeps what is wrong with a file as a whole; "" means that it is well. It is said once.
func (s *FilesSource) fault(name, cause string) {
	if s.faults[name] == cause {
		return
	}
	if cause == "" {
		delete(s.faults, name)
		return
	}
	s.faults[name] = cause
	s.refused(filepath.Join(s.cfg.Dir, name), cause)
}

// isCSV tells the two formats apart, also in the names that rotation gives: labels.csv.1.
func isCSV(name string) bool {
	for part := range strings.SplitSeq(strings.ToLower(name), ".") {
		if part == "csv" || part == "tsv" {
			return true
		}
	}
	return false
}
