package store

import (
	"database/sql"
	"errors"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The texts of faults: the cause and the cure of each.
const (
	diskFull    = "the disk is full; nothing was lost: free some space and retraind continues by itself"
	notWritable = "the state directory is not writable: check its owner and that the file system is not mounted read-only"
	cannotOpen  = "the database file cannot be opened: check the owner and permissions of the state directory"
	diskError   = "the disk of the state directory reports an error: look for it in the kernel's log"
	locked      = "the database file stays locked: end the program that has it open (such as sqlite3 or a backup tool), and retraind continues by itself"
	damaged     = "the database file is damaged: restore it from a backup, or move it away to start with an empty state"
)

// Explain reduces an error of the workflow engine to the database error that it contains, and adds the cure if an
// operator can fix it.
func Explain(err error) error {
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		return explain(fault)
	}
	if strings.Contains(err.Error(), "disk is full (13)") { // the engine's migrations return only the text
		return &Fault{Text: diskFull}
	}
	return err
}

// explain adds the cure to faults that an operator can fix, and replaces sql.ErrNoRows by ErrNotFound.
func explain(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	fault, ok := faultOf(err)
	if !ok || errors.As(err, new(*Fault)) {
		return err
	}
	return fault
}

// faultOf returns the fault of the state directory that an error contains.
func faultOf(err error) (*Fault, bool) {
	var known *Fault
	if errors.As(err, &known) {
		return known, true
	}
	var found *sqlite.Error
	if !errors.As(err, &found) {
		return nil, false
	}
	if found.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		// The WAL index could not grow, which happens when the disk is full to the last page.
		return &Fault{Text: diskFull, Err: err}, true
	}
	fault := &Fault{Err: err}
	switch found.Code() & 0xff { // the upper bytes hold the extended code
	case sqlite3.SQLITE_FULL:
		fault.Text = diskFull
	case sqlite3.SQLITE_READONLY:
		fault.Text = notWritable
	case sqlite3.SQLITE_CANTOPEN:
		fault.Text = cannotOpen
	case sqlite3.SQLITE_BUSY:
		fault.Text = locked
	case sqlite3.SQLITE_IOERR:
		fault.Text = diskError
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		fault.Text, fault.Lasting = damaged, true
	default:
		return nil, false
	}
	return fault, true
}
