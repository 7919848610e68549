package labelfiles

import (
	"context"
	"errors"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchDir asks the kernel to tell of changes in the directory. Where it cannot, polling does.
func (s *Source) watchDir() (events chan struct{}, stop func()) {
	events = make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(s.cfg.Dir); err != nil {
			err = errors.Join(err, watcher.Close())
		}
	}
	if err != nil {
		s.Log.Warn("the kernel does not tell of changes in the directory; it is looked at now and then", "dir", s.cfg.Dir,
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
			s.Log.Debug("close the watch", "err", err)
		}
		<-done
	}
}

// pause waits for a short while in which nothing is looked at; what is told meanwhile stays in events.
func pause(ctx context.Context, d time.Duration, events chan struct{}) error {
	timer := time.NewTimer(min(max(d, 2*time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
