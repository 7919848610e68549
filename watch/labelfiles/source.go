// Package labelfiles follows a directory of label files, JSON Lines or CSV, plain or gzip.
//
// It keeps the reading position of each file, with its inode and a hash of the content that was read. A Source runs in
// one goroutine; Health and Retry are safe for concurrent use. It never writes to the directory, and never relies on
// a file-system notification alone: it compares the files with what was read.
package labelfiles

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

	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// Source follows the label files of a directory. It implements watch.Source.
//
// A file is a sequence of events, one per line. It may grow, and it may be replaced, truncated, renamed and rotated,
// because its position is stored with its inode and a hash of everything that was read. The position moves in the
// transaction that stores the lines. A last line without a line end is read only if it is a whole JSON object, or when
// the file is quiet: it is gzip, was removed, or was not written to for quietAfter. File-system notifications only save
// time: all files are checked again after each Poll, and the content of those that were written to is then compared
// with what was read.
type Source struct {
	*watch.Retrier
	cfg     *Config
	decoder *labelevent.Decoder
	inbox   watch.Inbox
	quiet   time.Duration        // quietAfter, shorter in tests
	again   time.Time            // when a file with an incomplete last line will count as quiet; owned by Run
	open    map[inode]*os.File   // files that may be moved away while they are written to; owned by Run
	faults  map[string]string    // file-level faults by file name; owned by Run
	ahead   map[inode]firstSeen  // files whose mtime is in the future; owned by Run
	broken  map[string]fileState // gzip files that could not be unpacked, with their state at that time; owned by Run
}

var _ watch.Source = (*Source)(nil)

// New returns the source of a model's label files. poke is called after each batch in which events were stored, with
// their number; it must not block.
func New(model string, cfg *Config, decoder *labelevent.Decoder, inbox watch.Inbox, poke func(n int),
	log *slog.Logger,
) *Source {
	return &Source{
		Retrier: watch.NewRetrier(model, watch.SourceFiles, poke, log), cfg: cfg, decoder: decoder, inbox: inbox,
		quiet: quietAfter, open: map[inode]*os.File{}, faults: map[string]string{},
		broken: map[string]fileState{}, ahead: map[inode]firstSeen{},
	}
}

// Name implements watch.Source.
func (s *Source) Name() string { return watch.SourceFiles }

// Probe returns an error if anything would prevent Run from following the directory.
func (s *Source) Probe(context.Context) error { return s.cfg.Probe() }

// Probe returns an error if the directory cannot be read.
func (c *Config) Probe() error {
	info, err := os.Stat(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &watch.Fault{
			Key: "dir", Cause: fmt.Sprintf("the directory of label files %s does not exist", c.Dir),
			Cure: "create it, or correct labels.files.dir", Err: err,
		}
	case err == nil && !info.IsDir():
		return &watch.Fault{
			Key: "dir", Cause: c.Dir + " is not a directory",
			Cure: "name the directory in labels.files.dir, the files in labels.files.pattern",
		}
	case err == nil:
		if _, err = os.ReadDir(c.Dir); err == nil {
			_, err = os.Stat(c.Dir + "/.") // needs the right to search the directory, as opening its files does
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return &watch.Fault{
			Key:   "dir",
			Cause: fmt.Sprintf("the directory of label files %s is not readable for user id %d", c.Dir, os.Geteuid()),
			Cure:  "give the user that runs retraind read and search permission, for example through the directory's group",
			Err:   err,
		}
	}
	return err
}

// Run implements watch.Source. It ends only with ctx.
func (s *Source) Run(ctx context.Context) error {
	defer s.closeAll()
	return s.RunWithRetry(ctx, s.follow)
}

func (s *Source) closeAll() {
	for id := range s.open {
		s.closeFile(id)
	}
}

// follow scans the files after each notification and after each Poll, until the directory is removed or replaced.
func (s *Source) follow(ctx context.Context, onUp func()) error {
	if err := s.cfg.Probe(); err != nil {
		return err
	}
	events, stop := s.watchDir()
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
		s.again = time.Time{}
		if err := s.scan(ctx, thorough); err != nil {
			return err
		}
		onUp()
		thorough = false
		// Pause longer after a longer scan: a directory with very many files must not keep a core busy.
		if err := pause(ctx, 4*time.Since(began)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-events:
		case <-s.Retried():
		case <-s.quietTimer():
		case <-poll.C:
			thorough = true
		}
		if now, err := identify(s.cfg.Dir); err != nil || now != dir {
			if err := s.cfg.Probe(); err != nil {
				return err
			}
			return fmt.Errorf("the directory %s was replaced by another", s.cfg.Dir)
		}
	}
}

// lookAgain schedules a scan for when a file that was last written to at the given time will count as quiet.
func (s *Source) lookAgain(written time.Time) {
	if at := written.Add(s.quiet + 10*time.Millisecond); s.again.IsZero() || at.Before(s.again) {
		s.again = at
	}
}

// firstSeen records when a modification time was first seen.
type firstSeen struct {
	mtime int64
	at    time.Time
}

// written returns when a file with this modification time was last written to. A time in the future, from a clock that
// is ahead or was wrong, is replaced by the time when it was first seen.
func (s *Source) written(id inode, mtime int64) time.Time {
	now, written := time.Now(), time.Unix(0, mtime)
	if !written.After(now) {
		delete(s.ahead, id)
		return written
	}
	if s.ahead[id].mtime != mtime {
		s.ahead[id] = firstSeen{mtime, now}
	}
	return s.ahead[id].at
}

// quietTimer returns a channel that receives a value when the scan that lookAgain scheduled is due. It is nil if no
// scan is scheduled.
func (s *Source) quietTimer() <-chan time.Time {
	if s.again.IsZero() {
		return nil
	}
	return time.After(time.Until(s.again))
}

// fault records a fault of a file, and logs it once. An empty cause clears the fault.
func (s *Source) fault(name, cause string) {
	if s.faults[name] == cause {
		return
	}
	if cause == "" {
		delete(s.faults, name)
		return
	}
	s.faults[name] = cause
	s.Refused(filepath.Join(s.cfg.Dir, name), cause)
}

// isCSV reports whether a file is CSV and not JSON Lines, by its name. The name may be that of a rotated file, such
// as labels.csv.1.
func isCSV(name string) bool {
	for part := range strings.SplitSeq(strings.ToLower(name), ".") {
		if part == "csv" || part == "tsv" {
			return true
		}
	}
	return false
}
