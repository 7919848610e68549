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

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Ledger is the directory of the entries, with the hands that reach what they name.
type Ledger struct {
	Dir   string
	Hands map[Kind]Hand
}

// Dir is where the ledger of a state directory lies.
func Dir(state string) string { return filepath.Join(state, "ledger") }

const (
	suffix  = ".json"
	damaged = ".damaged" // is put behind the name of a file that cannot be read
)

// settleIn is how long a stop may go on by itself after the process died that asked for it, beside the thing's own time
// to stop.
const settleIn = 5 * time.Second

// Note records durably what is about to be stopped, in the order of stopping; existing entries of the run are
// rewritten. On an error nothing may be stopped: entries written before it name things that still run, which a restore
// detects.
func (l *Ledger) Note(run Run, now time.Time, things ...Thing) ([]Entry, error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("write ledger: %w", err)
	}
	entries, _, err := l.Entries()
	if err != nil {
		return nil, err
	}
	n := 0
	owed := map[string]Entry{} // by key: of what the run owes already and has come back
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
			e.ID, e.UntilEnd = old.ID, old.UntilEnd
		}
		if err := l.put(e); err != nil {
			return noted, err
		}
		noted = append(noted, e)
	}
	return noted, nil
}

// Renote records durably that a stopped thing was started again, and is about to be stopped again.
func (l *Ledger) Renote(e Entry, as Thing, now time.Time) error {
	e.Thing, e.Stopped, e.Settled, e.Back = as, now, now.Add(settleIn+as.stopTime()), time.Time{}
	return l.put(e)
}

// put writes an entry atomically and durably.
func (l *Ledger) put(e Entry) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err == nil {
		err = renameio.WriteFile(l.path(e.ID), append(b, '\n'), 0o600)
	}
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return fmt.Errorf("write ledger entry %s: %w", e.ID, err)
	}
	return nil
}

// discharge removes an entry.
func (l *Ledger) discharge(e Entry) error {
	err := os.Remove(l.path(e.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		return fmt.Errorf("discharge ledger entry %s: %w", e.ID, err)
	}
	return nil
}

func (l *Ledger) path(id string) string { return filepath.Join(l.Dir, id+suffix) }

func (l *Ledger) sync() error {
	dir, err := os.Open(l.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Entries returns the entries, the last stopped first, which is the order of restoring. Unreadable files are returned
// separately, with the reason.
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
		if !ok || strings.HasPrefix(id, ".") { // a file that was being written
			continue
		}
		e, err := l.read(id)
		switch {
		case errors.Is(err, fs.ErrNotExist): // discharged meanwhile
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

// maxEntry is more than any entry has.
const maxEntry = 1 << 20

func (l *Ledger) read(id string) (Entry, error) {
	var e Entry
	info, err := os.Lstat(l.path(id))
	if err != nil {
		return e, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEntry {
		return e, errors.New("it is no file of the ledger")
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

// putAside renames unreadable files, so that they are kept for a person and reported once.
func (l *Ledger) putAside(bad map[string]error) error {
	var errs []error
	for name := range bad {
		path := filepath.Join(l.Dir, name)
		errs = append(errs, os.Rename(path, path+damaged))
	}
	return errors.Join(errs...)
}

// lockEvery is how often a held lock is tried again.
const lockEvery = 20 * time.Millisecond

// Lock waits for and takes the lock for changing entries.
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
				_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // also for a child between fork and exec
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
