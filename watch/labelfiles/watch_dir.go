package labelfiles

import (
	"context"
	"errors"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchDir subscribes to the kernel's notifications for the directory. If that fails, polling alone is used.
func (s *Source) watchDir() (events chan struct{}, stop func()) {
	events = make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(s.cfg.Dir); err != nil {
			err = errors.Join(err, watcher.Close())
		}
	}
	if err != nil {
		s.Log.Warn("no file-system notifications for the directory; it is only polled", "dir", s.cfg.Dir,
			"every", s.cfg.poll(), "err", err)
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
			case _, ok := <-watcher.Errors: // such as too many events at once: scan everything
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
			s.Log.Debug("close the watch", "err", err)
		}
		<-done
	}
}

// pause waits for the time d, but for at least 2 ms and at most a second.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(min(max(d, 2*time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
