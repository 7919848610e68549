// Package store keeps retraind's durable state in one SQLite file: label changes, items, predictions, reports,
// decisions, runs, releases and the outbox of notifications.
//
// It owns the schema and every statement on it. All writes go through Update, which runs one transaction: a state
// change and its notification are stored together, and are on disk (synchronous=FULL) when Update returns. A Store is
// safe for concurrent use, with one writer at a time and concurrent readers. It does not interpret what it stores:
// reports and plans are JSON that the callers define. It never deletes a release's files and never talks to a network.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"github.com/retraind/retraind/internal/faults"
)

// ErrNotFound means that no such row exists.
var ErrNotFound = errors.New("not found")

// LockedError means that another process has locked the state directory.
type LockedError struct {
	Dir string
	PID string // of the holder, if it could be read
}

func (e *LockedError) Error() string {
	who := "another retraind"
	if e.PID != "" {
		who += " (pid " + e.PID + ")"
	}
	return fmt.Sprintf("state directory %s is in use by %s: stop that process, or set another `state:` for this one", e.Dir,
		who)
}

// Store is an open state directory. Close it to release the lock.
type Store struct {
	dir   string
	write *sql.DB // one connection
	read  *sql.DB
	lock  *os.File
	file  os.FileInfo // of the database file when it was opened

	health   health
	mu       sync.Mutex
	onOutbox []func() // called after a commit that added notifications; guarded by mu
}

// Open opens or creates the store in dir and locks the directory. It refuses a PostgreSQL address, because in this
// version several hosts cannot share the state.
func Open(ctx context.Context, dir string) (*Store, error) {
	if strings.HasPrefix(dir, "postgres://") || strings.HasPrefix(dir, "postgresql://") {
		return nil, errors.New("state: a PostgreSQL address is not supported by this version: give a directory on a local disk, such as /var/lib/retraind")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w; create it and make it writable for the user that runs retraind, or set `state:` to a directory that is writable",
			err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open store in %s: %w", dir, explain(err))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	path := filepath.Join(s.dir, "retraind.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close() // an empty file is an empty database
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if s.file, err = os.Stat(path); err != nil {
		return err
	}
	if s.write, err = openDB(path, existing); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = openDB(path, existing); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	return nil
}

// OpenReader opens an existing store for View only, while a daemon may have it open. If the store does not exist, the
// error wraps os.ErrNotExist.
func OpenReader(dir string) (*Store, error) {
	path := filepath.Join(dir, "retraind.db")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := openDB(path, existing)
	if err != nil {
		return nil, err
	}
	if err := readable(db); err != nil {
		db.Close()
		return nil, fmt.Errorf("open store in %s: %w", dir, explain(err))
	}
	return &Store{dir: dir, read: db}, nil
}

// OpenEngine opens the workflow engine's database beside the store, with every commit synced to disk. The caller closes
// it. A damaged database is refused; its file can be deleted, because the store has every run.
func (s *Store) OpenEngine() (*sql.DB, error) {
	path := filepath.Join(s.dir, "engine.db")
	db, err := openDB(path, "")
	if err != nil {
		return nil, err
	}
	var found string
	err = db.QueryRow("pragma quick_check(1)").Scan(&found)
	if err == nil && found == "ok" {
		return db, nil
	}
	fault, ok := faultOf(err)
	if err == nil || ok && fault.Lasting {
		err = &Fault{
			Text: fmt.Sprintf("%s is damaged: move it away, with its -wal and -shm files, and start retraind (no run is lost: open runs are resumed from the store)",
				path),
			Lasting: true, Err: cmp.Or(err, errors.New(found)),
		}
	}
	return nil, errors.Join(explain(err), db.Close())
}

// existing is a setting of openDB that makes a missing file an error. The pool opens connections at any time, and must
// not create a new database after the file was deleted.
const existing = "&mode=rw"

func openDB(path, settings string) (*sql.DB, error) {
	// _txlock=immediate: a transaction that will write takes the lock at its start, so that it cannot fail later because
	// another one has the lock. The path is escaped, because an unescaped # or ? would end the path and drop the settings.
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String()
	base, err := sqlite.NewConnector(name +
		"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(on)&_txlock=immediate" +
		settings)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{base}), nil
}

func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w; the directory must be writable by the user that runs retraind", dir, err)
	}
	// A process that only checks the lock holds it briefly, so try a few times. Try longer if the process that took the
	// lock is dead: if it was killed while starting a child, the child holds the lock until it executes its own program.
	for try := 1; ; try++ {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			break
		}
		text, _ := os.ReadFile(path)
		holder := strings.TrimSpace(string(text))
		if try >= lockTries && (try >= deadTries || !dead(holder)) {
			f.Close()
			return nil, &LockedError{Dir: dir, PID: holder}
		}
		<-time.After(lockPause)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0) // only for the message of LockedError
	}
	return f, nil
}

const (
	lockTries = 5
	deadTries = 500
	lockPause = 10 * time.Millisecond
)

// dead reports whether no process has the given id.
func dead(pid string) bool {
	n, err := strconv.Atoi(pid)
	return err == nil && n > 0 && errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// Held returns a *LockedError if a daemon has locked the state directory. It returns nil if the directory does not
// exist.
func Held(dir string) error {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	}
	pid, _ := os.ReadFile(f.Name())
	return &LockedError{Dir: dir, PID: strings.TrimSpace(string(pid))}
}

// Dir returns the path of the state directory.
func (s *Store) Dir() string { return s.dir }

// Close releases the databases and the lock.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		// Unlock explicitly: a child between fork and exec has the file open too.
		errs = append(errs, syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
	}
	return errors.Join(errs...)
}

// OnOutbox registers a function called after each commit that added notifications. It must not block.
func (s *Store) OnOutbox(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onOutbox = append(s.onOutbox, f)
}

// Tx is one transaction; its methods are the statements, grouped in a file per kind of row.
type Tx struct {
	ctx      context.Context
	tx       *sql.Tx
	notified bool
}

// Update runs f in one transaction. If Update returns nil, the change is on disk; otherwise nothing has changed. The
// name identifies the write in errors and crash tests.
func (s *Store) Update(ctx context.Context, name string, f func(*Tx) error) error {
	err := s.writable()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err = s.update(ctx, name, f)
	s.health.note(name, err)
	return err
}

func (s *Store) update(ctx context.Context, name string, f func(*Tx) error) error {
	faults.Point("write:" + name)
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, explain(err))
	}
	defer tx.Rollback() //nolint:errcheck // a no-op after a commit; else f failed or panicked, and the writer must be free again
	t := &Tx{ctx: ctx, tx: tx}
	if err := f(t); err != nil {
		return fmt.Errorf("%s: %w", name, explain(err))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", name, explain(err))
	}
	faults.Point("written:" + name)
	if t.notified {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.onOutbox {
			f()
		}
	}
	return nil
}

// View runs f in a read transaction: f sees one consistent state and does not block writers.
func (s *Store) View(ctx context.Context, f func(*Tx) error) error {
	err := s.view(ctx, f)
	s.health.noteRead(err)
	return err
}

func (s *Store) view(ctx context.Context, f func(*Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("read store: %w", explain(err))
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if err := f(&Tx{ctx: ctx, tx: tx}); err != nil {
		return explain(err)
	}
	return nil
}

const timeFormat = "2006-01-02T15:04:05.000000Z"

// stamp formats a time so that the texts sort by time; the zero time becomes "".
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

// unstamp parses the result of stamp.
func unstamp(s string) time.Time {
	t, err := time.Parse(timeFormat, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
