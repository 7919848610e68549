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
	fileSettle = 300 * time.Millisecond // a change counts once two checks read the same content: editors truncate first
	filePoll   = 60 * time.Second       // for file systems without notifications
)

// fileWatch sends to its channel when the content of the configuration, or of a file that the configuration names, has
// changed. It watches directories, because a watch on a file is lost at the first atomic replace. It compares contents
// after any event, because a symlinked file (a mounted ConfigMap) changes without an event for the file's name.
type fileWatch struct {
	files   func() []string // the configuration first; may change with each reload
	changed chan struct{}
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil if none could be created
	last    map[string]string // contents at the last send to changed
	look    map[string]string // contents at the previous check, not sent yet
}

// watchFiles starts a watch that ends with ctx. known contains the hashes of the files when the configuration was
// read.
func watchFiles(ctx context.Context, files func() []string, known map[string]string, log *slog.Logger) <-chan struct{} {
	w := &fileWatch{files: files, changed: make(chan struct{}, 1), log: log, last: known}
	var err error
	if w.watcher, err = fsnotify.NewWatcher(); err != nil {
		log.Warn("no file-system notifications: the configuration file is checked once per minute", "err", err)
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
	settle := time.NewTimer(0) // checks at once: files may have changed before the watch began
	armed := true
	arm := func() {
		if !armed { // later events do not postpone it: a busy directory must not delay the detection
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
			w.log.Warn("the watch on the configuration file failed; checking the file", "err", err)
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

// follow watches the directories of the files and of their link targets. A directory that was replaced is watched
// again.
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
			_ = w.watcher.Add(dir) // fails if the directory is missing; retried at the next check
		}
	}
}

// settled checks the files and reports whether no further check is needed. It sends if the contents differ from those
// last sent and are the same as at the previous check.
func (w *fileWatch) settled() bool {
	now := map[string]string{}
	for i, path := range w.files() {
		b, err := os.ReadFile(path)
		if i == 0 && err != nil {
			w.look = nil
			return true // it is being replaced: the next event or poll detects that
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
