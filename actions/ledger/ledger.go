package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/durable"
	"golang.org/x/sys/unix"
)

// Ledger is the directory of the entries. Hands has, for each kind of thing that a run can stop, the Hand that checks,
// stops and starts it.
type Ledger struct {
	Dir   string
	Hands map[Kind]Hand
}

// Dir returns the directory of the ledger in a state directory.
func Dir(state string) string { return filepath.Join(state, "ledger") }

const (
	suffix  = ".json"
	damaged = ".damaged" // suffix of a renamed unreadable file
)

// settleIn is how long a stop may continue after the death of the process that requested it, in addition to the thing's
// own stop timeout.
const settleIn = 5 * time.Second

// Note durably records the things that are about to be stopped, in the order of stopping. If the run already has an
// entry for a thing, that entry is replaced, and keeps its UntilEnd if that is set. If Note fails, the caller must stop
// nothing; entries that were written before the failure name things that still run, which Restore detects.
func (l *Ledger) Note(run Run, now time.Time, things ...Thing) ([]Entry, error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("write ledger: %w", err)
	}
	entries, _, err := l.Entries()
	if err != nil {
		return nil, err
	}
	n := 0
	owed := map[string]Entry{} // by key: the existing entries of this run
	for _, e := range entries {
		if e.Run.ID == run.ID {
			n = max(n, e.N)
			owed[e.Key()] = e
		}
	}
	var noted []Entry
	for _, t := range things {
		n++
		e := Entry{
			ID: fmt.Sprintf("%s-%03d", run.ID, n), Run: run, N: n, Stopped: now,
			Settled: now.Add(settleIn + t.stopTime()), Thing: t,
		}
		if old, ok := owed[t.Key()]; ok {
			e.ID, e.UntilEnd = old.ID, old.UntilEnd || run.UntilEnd
		}
		if err := l.put(e); err != nil {
			return noted, err
		}
		noted = append(noted, e)
	}
	return noted, nil
}

// Renote durably records that a stopped thing was started meanwhile and is about to be stopped again.
func (l *Ledger) Renote(e Entry, as Thing, now time.Time) error {
	e.Thing, e.Stopped, e.Settled, e.Back = as, now, now.Add(settleIn+as.stopTime()), time.Time{}
	return l.put(e)
}

// put writes an entry atomically and durably.
func (l *Ledger) put(e Entry) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err == nil {
		err = durable.WriteFile(l.path(e.ID), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write ledger entry %s: %w", e.ID, err)
	}
	return nil
}

// discharge removes an entry durably.
func (l *Ledger) discharge(e Entry) error {
	err := os.Remove(l.path(e.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(l.Dir)
	}
	if err != nil {
		return fmt.Errorf("remove ledger entry %s: %w", e.ID, err)
	}
	return nil
}

func (l *Ledger) path(id string) string { return filepath.Join(l.Dir, id+suffix) }

// Entries returns the entries in the order of restoring: the last stopped first. Unreadable files are returned
// separately, by name, with the reason.
func (l *Ledger) Entries() (entries []Entry, bad map[string]error, err error) {
	files, err := os.ReadDir(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read ledger: %w", err)
	}
	bad = map[string]error{}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || strings.HasPrefix(id, ".") { // an unfinished write
			continue
		}
		e, err := l.read(id)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			bad[f.Name()] = err
		default:
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(b.Stopped.Compare(a.Stopped), cmp.Compare(b.Run.ID, a.Run.ID), cmp.Compare(b.N, a.N))
	})
	return entries, bad, nil
}

// maxEntry is the largest valid size of an entry in bytes.
const maxEntry = 1 << 20

func (l *Ledger) read(id string) (Entry, error) {
	var e Entry
	info, err := os.Lstat(l.path(id))
	if err != nil {
		return e, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEntry {
		return e, errors.New("it is not a regular file of at most 1 MiB")
	}
	b, err := os.ReadFile(l.path(id))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, err
	}
	e.ID = id
	return e, e.valid()
}

// quarantine renames unreadable files, so that they are kept for inspection and reported only once.
func (l *Ledger) quarantine(bad map[string]error) error {
	var errs []error
	for name := range bad {
		path := filepath.Join(l.Dir, name)
		errs = append(errs, os.Rename(path, path+damaged))
	}
	return errors.Join(errs...)
}

// lockEvery is the pause between two attempts to take the lock.
const lockEvery = 20 * time.Millisecond

// Lock takes the lock that is required to change entries. It waits until the lock is free or ctx ends.
func (l *Ledger) Lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(l.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() {
				_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // explicit, since a child between fork and exec has a copy of the descriptor
				_ = f.Close()
			}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock ledger: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
