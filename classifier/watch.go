package classifier

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// poll is how often the directory is checked in addition to the file watch, which can miss events (network file
// systems, a replaced parent).
const poll = 2 * time.Second

// Watch reloads whenever the served directory points to another release, until ctx ends. If a release cannot be loaded,
// the error is logged once and the present model stays in use. Loading is tried again at each poll, because the release
// may still be incomplete. Do not call Watch for a service that reads its model only at start.
func (s *Server) Watch(ctx context.Context) error {
	var events <-chan fsnotify.Event
	var faults <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
	}
	// Watch the parent, not the link: a watch on the link itself is lost when the link is replaced. If the parent is
	// missing, the watch is tried again at each poll.
	parent := filepath.Dir(s.dir)
	watched := watcher != nil && watcher.Add(parent) == nil
	if !watched {
		s.log.Warn("no file-system notifications for the release's directory yet; it is polled", "dir", parent)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	complaint := s.follow("")
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-events:
			if !ok {
				events = nil
			}
			if filepath.Base(e.Name) == filepath.Base(s.dir) {
				complaint = s.follow(complaint)
			}
		case err, ok := <-faults:
			if ok {
				s.log.Warn("file-system notifications failed", "err", err)
			} else {
				faults = nil
			}
		case <-tick.C:
			watched = watched || watcher != nil && watcher.Add(parent) == nil
			complaint = s.follow(complaint)
		}
	}
}

// follow reloads if the directory points to a release other than the served one. It returns the text of the current
// error, "" if there is none.
func (s *Server) follow(complaint string) string {
	dir, err := filepath.EvalSymlinks(s.dir)
	if c := s.current.Load(); err == nil && c != nil && c.dir == dir {
		return ""
	}
	if err == nil {
		err = s.Reload()
	}
	if err == nil {
		return ""
	}
	if err.Error() != complaint {
		if release := s.Release(); release != "" {
			s.log.Warn("cannot load the new release; the present model stays in use", "err", err, "release", release)
		} else {
			s.log.Warn("cannot load a release yet; requests are refused until one is loaded", "err", err)
		}
	}
	return err.Error()
}
