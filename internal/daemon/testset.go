package daemon

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// testSet is what was last seen of the user's own test set (heldout.file).
type testSet struct {
	at      time.Time
	size    int64
	trouble string
}

// errResync ends the sources because the whole table must be read again.
var errResync = errors.New("the test set changed")

// follow runs the sources, and once more with a read of the whole table each time the user's own test set has changed:
// sides are decided by texts, of which the store keeps those of held-out items and of items that no table has.
func (k *keeper) follow(ctx context.Context) error {
	for {
		inner, stop := context.WithCancelCause(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-k.resync:
				stop(errResync)
			case <-inner.Done():
			}
		}()
		err := k.runSources(inner)
		again := errors.Is(context.Cause(inner), errResync)
		stop(nil)
		<-ended
		if !again || ctx.Err() != nil {
			return err
		}
		if err := k.adoptTestSet(ctx); err != nil {
			k.log.Error("the new test set waits", "err", err)
			poke(k.resync)
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(5 * time.Second):
			}
		}
	}
}

// adoptTestSet makes the source read the whole table if the sides were decided by another test set than the one that
// is configured now. Without one the sides stay as they are.
func (k *keeper) adoptTestSet(ctx context.Context) error {
	digest := k.sink.split.Load().FileDigest()
	return k.d.store.Update(ctx, "test set", func(t *store.Tx) error {
		row, err := t.Model(k.name)
		if err != nil || row.TestSet == digest {
			return err
		}
		if err := t.SetModel(k.name, store.TestSet, digest); err != nil || digest == "" {
			return err
		}
		if err := k.sink.placeBrought(t); err != nil || k.rule.model.Labels.Postgres == nil {
			return err
		}
		return t.SetCursor(k.name, watch.SourcePostgres, "")
	})
}

// lookAtTestSet takes over the user's own test set when its file has changed. One that cannot be read leaves the former
// in force.
func (k *keeper) lookAtTestSet() {
	c := k.rule.model.Heldout
	if c.File == "" {
		return
	}
	info, err := os.Stat(c.File)
	if err == nil && k.testSet.at.Equal(info.ModTime()) && k.testSet.size == info.Size() {
		return
	}
	var split *drift.Split
	if err == nil {
		split, err = newSplit(k.d.store.Dir(), k.name, k.rule.model)
	}
	if err != nil {
		if text := err.Error(); text != k.testSet.trouble {
			k.testSet.trouble = text
			k.log.Warn("the former test set stays in force", "err", err)
		}
		return
	}
	k.testSet = testSet{at: info.ModTime(), size: info.Size()}
	if split.FileDigest() == k.sink.split.Load().FileDigest() {
		return
	}
	k.log.Info("the test set changed: reading the whole table", "file", c.File)
	k.sink.split.Store(split)
	poke(k.resync)
}
