package daemon

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/retraind/retraind/configs"
)

const (
	fileSettle = 300 * time.Millisecond // a content counts when it was the same two looks apart: editors truncate, then write
	filePoll   = 60 * time.Second       // for file systems that tell nothing
)

// fileWatch pokes when a configuration, or a file that it names, has another content, however it came there. It watches
// directories, since a watch on a file goes blind at the first atomic replace, and compares what the files hold: any
// event counts, because a symlinked file (a mounted ConfigMap) changes without one of its own name.
type fileWatch struct {
	files   func() []string // the configuration first; may change with each reload
	changed chan struct{}
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil where the system has none to spare
	last    map[string]string // contents when changed was last sent
	look    map[string]string // contents at the look before, not sent yet
}

// watchFiles starts a watch that ends with ctx. known is what the files held when the configuration was read.
func watchFiles(ctx context.Context, files func() []string, known map[string]string, log *slog.Logger) <-chan struct{} {
	w := &fileWatch{files: files, changed: make(chan struct{}, 1), log: log, last: known}
	var err error
	if w.watcher, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("the configuration file is only looked at each minute", "err", err)
	}
	w.follow()
	go w.run(ctx)
	return w.changed
}

func (w *fileWatch) run(ctx context.Context) {
	var events chan fsnotify.Event
	var faults chan error
	if w.watcher != nil {
		events, faults = w.watcher.Events, w.watcher.Errors
		defer w.watcher.Close()
	}
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	settle := time.NewTimer(0) // what changed before the watch began counts too
	armed := true
	arm := func() {
		if !armed { // not put off by more events: a busy directory must not keep a change from being seen
			settle.Reset(fileSettle)
			armed = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			arm()
		case err := <-faults: // an overflow: events were lost
			w.log.Warn("the watch on the configuration file stumbled; looking", "err", err)
			arm()
		case <-tick.C:
			arm()
		case <-settle.C:
			armed = false
			w.follow()
			if !w.settled() {
				arm()
			}
		}
	}
}

// follow watches the directories of the files and of what they link to; one that was replaced is watched anew.
func (w *fileWatch) follow() {
	if w.watcher == nil {
		return
	}
	for _, path := range w.files() {
		dirs := map[string]bool{filepath.Dir(path): true}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs[filepath.Dir(real)] = true
		}
		for dir := range dirs {
			_ = w.watcher.Add(dir) // not there yet: the next look comes
		}
	}
}

// settled looks at the files. It pokes when their contents differ from what was reported and are the same as at the look
// before, and reports whether there is nothing more to look for.
func (w *fileWatch) settled() bool {
	now := map[string]string{}
	for i, path := range w.files() {
		b, err := os.ReadFile(path)
		if i == 0 && err != nil {
			w.look = nil
			return true // in the middle of being replaced: the event of its coming, or the next poll, sees it
		}
		now[path] = configs.HashFile(b)
	}
	switch {
	case maps.Equal(now, w.last):
		w.look = nil
		return true
	case maps.Equal(now, w.look):
		w.last, w.look = now, nil
		select {
		case w.changed <- struct{}{}:
		default:
		}
		return true
	}
	w.look = now
	return false
}
