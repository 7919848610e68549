package watch

import (
	"context"
	"time"
)

// The names of the sources: of their cursors, and of the owner of an item.
const (
	SourcePostgres = "postgres"
	SourceNATS     = "nats"
	SourceFiles    = "files"
	SourceHTTP     = "http"
	SourceCLI      = "cli"
)

// How the sources of one model go together.
//
// An item belongs to the source that brought its text. A full read of the table (Sink.Replace) makes the table's own
// items exactly those that it has; it never touches what came by events (NATS, files, HTTP, the command line). Where
// the table has an item that an event had brought, the table takes it over, text and all.
//
// Any event may label any item. Of labels the last statement holds, whoever made it, target by target. To be read again
// is not to say something: after an event has relabelled an item of the table, that label holds until the table's own
// label changes; a full read that finds what was found before changes nothing. The same goes for a label file that is
// read again from its start. An event that deletes an item of the table takes back what events said of it, since the
// row is still there; an item that events brought is gone.
//
// A label for an item that nobody has brought yet waits for it: the sources have no order among them. A text in an event
// for an item of the table is left aside, because the next full read would undo it.

// Event is one statement of an event source about one item.
type Event struct {
	// Key names the event in its source for ever, as its sender named it; an event with a key that was stored before
	// changes nothing. Empty: the sender gave it no name.
	Key string
	// File is the label file that says it, and Reading the pass over the file: it changes when the file is read again from
	// its start. With Again, only what the pass before did not say has effect.
	File    string
	Reading int64
	Again   bool

	Item   string
	Delete bool
	Text   map[string]string // by field; nil leaves the text as it is
	Labels Labels            // the targets that it labels; the others stay
	Unset  []string          // the targets whose label it takes away
	At     time.Time
	// Ordered says that At is the sender's: an older statement of the same source about the same target never wins over a
	// newer one.
	Ordered bool
	Author  string
	Origin  string // as Change.Origin; a payload can never set it

	// Subject names what says it in an annotation tool, such as an annotation, whose newest version is the whole of what it
	// says. Withdrawn takes back what the subject said, wherever that still holds; then Item may be empty.
	Subject   string
	Withdrawn bool
	// Alias is the tool's own name for the item: a deletion may name it by that alone.
	Alias string
}

// Batch is what a source stores in one transaction.
type Batch struct {
	Source string
	Events []Event
	// Marks are the positions that are reached with the events, by name: a source's own, or one per file. An empty
	// position forgets the name, with what the file said.
	Marks map[string]string
	// Renamed lists files that have a new name, old to new, with everything that is known of them.
	Renamed map[string]string
}

// Receipt says what became of a batch.
type Receipt struct {
	Taken   int `json:"accepted"`        // stored, whether or not they changed a label
	Known   int `json:"duplicate"`       // stored before
	Waiting int `json:"waiting"`         // stored, and waiting for an item that nobody has brought yet
	Older   int `json:"older,omitempty"` // older than what the same source had said before, and left aside
}

// Inbox stores what event sources bring. Each Take is one transaction. Implemented by the daemon; safe for concurrent use.
type Inbox interface {
	// Marks returns the stored positions of a source, by name.
	Marks(ctx context.Context, source string) (map[string]string, error)
	Take(ctx context.Context, b Batch) (Receipt, error)
}
