// Package watch defines the contract between the sources of label changes and the daemon: each change that a source
// reports is counted exactly once, even if retraind or a server restarts in between.
//
// It defines the types that pass between sources and daemon (Change, Event, Item, Batch), the interfaces Source, Sink
// and Inbox, the code that all sources share (Retrier with Health, Fault), the rule that recognises retraind's own
// writes, and the Coalescer, which merges wake-ups. The sources are sub-packages: postgres, labelfiles, natssource,
// webhook. One goroutine calls a source's Run; a Retrier and a Coalescer are safe for concurrent use. The package never
// imports a source, never does I/O, and keeps no position in memory: a source continues from the position that its Sink
// or Inbox stored.
package watch

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Op is what happened to an item.
type Op string

// The operations. A truncate or a lost position has no Op: the source reads the whole table again (Sink.Replace).
const (
	OpPut    Op = "put"    // the item was inserted, or its text may have changed: Text is set
	OpLabel  Op = "label"  // at most its labels changed: Text is nil
	OpDelete Op = "delete" // the item was deleted
)

// Labels maps the name of each target to the item's canonical label. A target whose label is null is missing from the
// map. Sets are canonical JSON arrays of sorted strings, booleans "true" and "false". The labels of a row that
// labelled_when excludes also have the key serving.NotLabelled.
type Labels map[string]string

// Item is one labelled row in its present state.
type Item struct {
	ID     string            // the key as text; composite keys as a JSON array
	Text   map[string]string // text columns by name, e.g. {"title": …, "content": …}
	Labels Labels
	At     time.Time
}

// Change is the change of one item by one committed write. With capture: poll, several writes between two polls are one
// change.
type Change struct {
	// Key identifies the change permanently within its source, e.g. "xid:seq". A change is ignored if one with the same
	// key is stored.
	Key    string
	Op     Op
	Item   string
	Text   map[string]string // the item's current text; only with OpPut
	Old    Labels            // nil for an insert, or if the source does not know the old labels (the sink has stored them)
	New    Labels            // nil for a delete
	At     time.Time
	Author string // who wrote it, if the source knows
	Origin string // OriginOf(run) for retraind's own writes; usually "" for others (see IsOwn)
}

// Sink stores the changes that a source has read. Each Append or Replace is one transaction that also moves the
// source's cursor, so the cursor never passes a change that is not stored. The daemon implements Sink; one source at a
// time may use it.
type Sink interface {
	// Cursor returns the stored position of the source, "" before the first read.
	Cursor(ctx context.Context, source string) (string, error)
	// Append stores changes in order and moves the cursor.
	Append(ctx context.Context, source string, changes []Change, cursor string) error
	// Replace stores the items of a full read, deletes the table's items that the read does not contain, and moves the
	// cursor. It stores nothing and returns a *ShrinkError if more items would be deleted than the read allows, unless
	// they are only a few.
	Replace(ctx context.Context, source string, read FullRead) error
}

// FullRead is the result of reading a whole table.
type FullRead struct {
	Items  iter.Seq2[Item, error] // iterated only once; an error that it yields aborts the transaction
	Cursor string
	// MaxGone is the share of the table's known items that may be missing, from 0 to 1. 1 or more allows any.
	MaxGone float64
}

// ShrinkError reports that a full read would delete more items than allowed.
type ShrinkError struct{ Known, Gone int }

func (e *ShrinkError) Error() string {
	return fmt.Sprintf("%d of %d items are missing in the full read", e.Gone, e.Known)
}

// Respeller is a Sink that can rename the keys of its items. A source needs it when the text form of a key has
// changed.
type Respeller interface {
	// Respell calls spell with batches of the source's item keys and renames each item to the key that spell
	// returned for it, unless an item with that key exists. It returns the number of renamed items. After an error
	// nothing is renamed.
	Respell(ctx context.Context, source string, spell func(keys []string) (map[string]string, error)) (int, error)
}

// Source delivers label changes from one place.
type Source interface {
	// Name returns the source's name, such as SourcePostgres. A source that has a cursor stores it under this name.
	Name() string
	// Run reads what was missed, then waits for changes and reads them until ctx ends. It reports errors through Health
	// and retries after them with back-off. It returns only when ctx ends, with context.Cause(ctx).
	Run(ctx context.Context) error
	// Health returns the present condition of the source; safe for concurrent use.
	Health() Health
	// Retry makes a source that waits after an error try again immediately; safe for concurrent use.
	Retry()
}

// Health is the condition of a source, for status and metrics.
type Health struct {
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	// Error is the last error on one line, with its cure if one is known; empty while the source is up.
	Error string `json:"error,omitempty"`
	// Notice is a warning that does not stop the source, such as why the whole table was read again, which changes are
	// late, or which event was refused last.
	Notice string `json:"notice,omitempty"`
	// LastEvent is when changes of the source were last stored.
	LastEvent time.Time `json:"last_event,omitzero"`
	// Refused counts refused events, requests and files since the daemon started. Each refused line of a label file counts;
	// a message or a request counts once, even if several of its events were refused.
	Refused int `json:"refused,omitempty"`
}
