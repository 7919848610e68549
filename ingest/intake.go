package ingest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// Intake runs the sources of one model. When the user's own test set has changed, it makes the sources read the whole
// table again.
type Intake struct {
	*Writer
	Sources []watch.Source // set before Run

	config Config
	resync chan struct{} // the test set changed: read the whole table again
	seen   testSet       // the test set as last read; owned by the caller of CheckTestSet
}

// testSet is the state of the user's own test set (heldout.file).
type testSet struct {
	at      time.Time
	size    int64
	trouble string // the last error that was logged, "" after a success
}

// NewIntake opens the split of a model and returns an Intake without sources.
func NewIntake(s *store.Store, c Config, log *slog.Logger) (*Intake, error) {
	if err := c.FindKnown(context.Background(), s); err != nil {
		return nil, err
	}
	split, err := c.NewSplit()
	if err != nil {
		return nil, err
	}
	return &Intake{Writer: NewWriter(s, c.Model, c.Targets, split, log), config: c, resync: make(chan struct{}, 1)}, nil
}

// errResync is the cause for which the sources are cancelled when the whole table must be read again.
var errResync = errors.New("the test set changed")

// Run runs the sources until ctx ends or one of them returns an error. Whenever the test set has changed, it restarts
// the sources, which then read the whole table if there is one. That read is needed because an item that becomes
// held out must be sent to the classifier, and the store has no texts of the table's training items.
func (i *Intake) Run(ctx context.Context) error {
	for {
		inner, stop := context.WithCancelCause(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-i.resync:
				stop(errResync)
			case <-inner.Done():
			}
		}()
		err := i.runSources(inner)
		again := errors.Is(context.Cause(inner), errResync)
		stop(nil)
		<-ended
		if !again || ctx.Err() != nil {
			return err
		}
		if err := i.adoptTestSet(ctx); err != nil {
			i.log.Error("cannot record the new test set; retrying", "err", err)
			i.requestResync()
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(5 * time.Second):
			}
		}
	}
}

func (i *Intake) runSources(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range i.Sources {
		group.Go(func() error { return s.Run(ctx) })
	}
	return group.Wait()
}

func (i *Intake) requestResync() {
	select {
	case i.resync <- struct{}{}:
	default:
	}
}

// Retry makes sources that wait after an error try again immediately.
func (i *Intake) Retry() {
	for _, s := range i.Sources {
		s.Retry()
	}
}

// Reading reports whether any source is not up yet, and has had no error so far.
func (i *Intake) Reading() bool {
	return slices.ContainsFunc(i.Sources, func(s watch.Source) bool {
		h := s.Health()
		return !h.Up && h.Error == ""
	})
}

// prober is a source that can check in advance whether it will work.
type prober interface {
	Probe(context.Context) error
}

// SourceError names the source that prevents the daemon from starting.
type SourceError struct {
	Model, Source string
	Err           error
}

func (e *SourceError) Error() string { return "labels from " + e.Source + ": " + e.Err.Error() }

func (e *SourceError) Unwrap() error { return e.Err }

// Probe adopts a changed test set, then checks each source without a stored position, so that the daemon does not start
// with a wrong password. A source that was read before may be unreachable, because the daemon waits for it.
func (i *Intake) Probe(ctx context.Context) error {
	if err := i.adoptTestSet(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	for _, s := range i.Sources {
		p, ok := s.(prober)
		if !ok {
			continue
		}
		read, err := i.Marks(ctx, s.Name())
		if err != nil {
			return err
		}
		if len(read) > 0 {
			continue
		}
		if err := p.Probe(ctx); err != nil {
			return &SourceError{i.model, s.Name(), err}
		}
	}
	return nil
}

// adoptTestSet applies the configured test set if another one has decided the items' sides (held out or training). It
// decides the sides of items from events at once, and makes the source read the whole table to decide the sides of the
// other items. If no test set is configured, all items keep their sides.
func (i *Intake) adoptTestSet(ctx context.Context) error {
	digest := i.Split().FileDigest()
	return i.store.Update(ctx, "test set", func(t *store.Tx) error {
		row, err := t.Model(i.model)
		if err != nil || row.TestSet == digest {
			return err
		}
		if err := t.SetModel(i.model, store.TestSet, digest); err != nil || digest == "" {
			return err
		}
		if err := i.placeAgain(t); err != nil || !i.config.Table {
			return err
		}
		return t.SetCursor(i.model, watch.SourcePostgres, "")
	})
}

// CheckTestSet loads the user's own test set when its file has changed, and makes Run adopt it. If the file cannot be
// read, the previous test set is kept. Only one goroutine may call it.
func (i *Intake) CheckTestSet() {
	c := i.config.Heldout
	if c.File == "" {
		return
	}
	info, err := os.Stat(c.File)
	if err == nil && i.seen.at.Equal(info.ModTime()) && i.seen.size == info.Size() {
		return
	}
	var split *drift.Split
	if err == nil {
		split, err = i.config.NewSplit()
	}
	if err != nil {
		if text := err.Error(); text != i.seen.trouble {
			i.seen.trouble = text
			i.log.Warn("cannot read the new test set; the previous one stays in force", "err", err)
		}
		return
	}
	i.seen = testSet{at: info.ModTime(), size: info.Size()}
	if split.FileDigest() == i.Split().FileDigest() {
		return
	}
	i.log.Info("the test set changed: reading the whole table", "file", c.File)
	i.split.Store(split)
	i.requestResync()
}
