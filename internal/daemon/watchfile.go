package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	fileSettle = 300 * time.Millisecond // editors truncate, write and rename: the file counts when it is quiet
	filePoll   = 60 * time.Second       // for file systems that tell nothing
)

// watchFile pokes when the file's content is another one, however it came there: it watches the directory, since a
// watch on a file goes blind at the first atomic replace, and compares hashes.
func watchFile(ctx context.Context, path, digest string, log *slog.Logger) <-chan struct{} {
	changed := make(chan struct{}, 1)
	var events chan fsnotify.Event
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(path)); err == nil {
			events = w.Events
			context.AfterFunc(ctx, func() { _ = w.Close() })
		}
	}
	if err != nil {
		log.Warn("the configuration file is only looked at each minute", "err", err)
	}
	go func() {
		tick := time.NewTicker(filePoll)
		defer tick.Stop()
		settle := time.NewTimer(0)
		<-settle.C
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-events:
				if !ok {
					events = nil
					continue
				}
				settle.Reset(fileSettle)
				continue
			case <-settle.C:
			case <-tick.C:
			}
			// A symlinked file (a mounted ConfigMap) changes without an event of its own name: any event counts.
			b, err := os.ReadFile(path)
			if err != nil {
				continue // in the middle of being replaced; the next event or poll sees it
			}
			sum := sha256.Sum256(b)
			if now := "sha256:" + hex.EncodeToString(sum[:]); now != digest {
				digest = now
				poke(changed)
			}
		}
	}()
	return changed
}
