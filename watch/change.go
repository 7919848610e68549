// Package watch is the contract between the sources of label changes and the daemon: each committed change takes effect
// exactly once, whatever restarts in between.
//
// It owns the types that pass between the two (Change, Event, Item, Batch), the interfaces Source, Sink and Inbox, what
// all sources share (Retrier with Health, Fault), the rule that recognises retraind's own writes, and the Coalescer,
// which folds wake-ups. The sources are sub-packages: postgres, labelfiles, natssource, webhook. A source's Run is one
// goroutine; a Retrier and a Coalescer are safe for concurrent use. It never imports a source, never does I/O, and
// keeps no position in memory: a source reads on from what its Sink or Inbox stored.
package watch

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Op is what happened to an item.
type Op string

// The operations. A truncate or a lost position is not an Op: the source reads the whole table again (Sink.Replace).
const (
	OpPut    Op = "put"    // the item was inserted, or its text changed: Text is set
	OpLabel  Op = "label"  // only its labels changed: Text is nil
	OpDelete Op = "delete" // it is gone
)

// Labels maps a target's name to the item's canonical label; a target that is null is absent.
// Sets are canonical JSON arrays of sorted strings, booleans "true" and "false".
type Labels map[string]string

// Item is one labelled row as it stands now.
type Item struct {
	ID     string            // the key as text; composite keys as a JSON array
	Text   map[string]string // text columns by name, e.g. {"title": …, "content": …}
	Labels Labels
	At     time.Time
}

// Change is one item's change as committed by one write.
type Change struct {
	// Key names the change in its source for ever, e.g. "xid:seq"; storing the same key twice has no effect.
	Key    string
	Op     Op
	Item   string
	Text   map[string]string // the item's current text; only with OpPut
	Old    Labels            // nil with an insert, and where the source does not see it: the sink's own last one is right then
	New    Labels            // nil with a delete
	At     time.Time
	Author string // who wrote it, as far as the source knows
	Origin string // OriginOf(run) for retraind's own writes, else ""
}

// Sink stores what a source read. Each call is one transaction that also moves the source's cursor, so that a change
// is stored exactly when the cursor has passed it. Implemented by the daemon; safe for use by one source at a time.
type Sink interface {
	// Cursor returns the stored position of the source, "" before the first read.
	Cursor(ctx context.Context, source string) (string, error)
	// Append stores changes in order and moves the cursor.
	Append(ctx context.Context, source string, changes []Change, cursor string) error
	// Replace makes the items exactly those of a full read (missing ones are deleted) and moves the cursor. It stores
	// nothing and returns a *ShrinkError when more items would be deleted than the read allows.
	Replace(ctx context.Context, source string, read FullRead) error
}

// FullRead is what a source reads of a whole table.
type FullRead struct {
	Items  iter.Seq2[Item, error] // read once, in one pass; an error in it aborts the transaction
	Cursor string
	// MaxGone is the share of the known items that may be missing, from 0 to 1. 1 or more allows any.
	MaxGone float64
}

// ShrinkError says that a full read would delete more items than it may.
type ShrinkError struct{ Known, Gone int }

func (e *ShrinkError) Error() string {
	return fmt.Sprintf("%d of %d items are missing in the full read", e.Gone, e.Known)
}

// Respeller is a Sink that can store its items under other keys. A source needs it whose text of a key has changed.
type Respeller interface {
	// Respell calls spell with keys of the source's items, some at a time, and stores each item under the key that spell
	// has for its own, unless there is one already. It returns how many items have got another key.
	Respell(ctx context.Context, source string, spell func(keys []string) (map[string]string, error)) (int, error)
}

// Source is a place where label changes come from.
type Source interface {
	// Name is the cursor's name, e.g. "postgres".
	Name() string
	// Run reads and follows until ctx ends. It returns only ctx's error or a permanent fault; passing trouble is
	// reported through Health and retried with back-off.
	Run(ctx context.Context) error
	// Health says how the source is right now; safe for concurrent use.
	Health() Health
	// Retry makes a source that waits after trouble try again now; safe for concurrent use.
	Retry()
}

// Health is the condition of a source, for the status sentence, metrics and doctor.
type Health struct {
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
	// Error is the last trouble in one sentence with cause and cure; empty while up.
	Error string `json:"error,omitempty"`
	// Notice is what people should know although the source is up: why the whole table was read again, what is late.
	Notice string `json:"notice,omitempty"`
	// LastEvent is when the last change arrived.
	LastEvent time.Time `json:"last_event,omitzero"`
	// Refused counts the events that could not be taken since the daemon started.
	Refused int `json:"refused,omitempty"`
}
