package watch

import (
	"context"
	"time"
)

// The names of the sources. A source that has a cursor stores it under its name, and an item that came from events
// stores the name of its source. SourceCLI is the command line, which is not a Source.
const (
	SourcePostgres = "postgres"
	SourceNATS     = "nats"
	SourceFiles    = "files"
	SourceHTTP     = "http"
	SourceCLI      = "cli"
)

// How the sources of one model combine.
//
// An item belongs to the source that provided its text. A full read of the table (Sink.Replace) stores the items that
// it contains and deletes the other items of the table. It never touches items from events (NATS, files, HTTP, the
// command line) that it does not contain. If the table contains an item that came from an event, the item and its text
// belong to the table from then on.
//
// Any event may label any item. For each target the last event or table change that is stored wins, whatever its
// source; only an older event of the same source is ignored (see Event.Ordered). Reading the same event or row again
// does not count as a new one. After an event has relabelled an item of the table, the item keeps that label until the
// table reports another label of the same target: a full read that finds unchanged rows changes nothing. A label from
// an event also counts for a row that labelled_when excludes. A label file that is read again from its start changes
// nothing by the lines that it had before. An event that deletes an item of the table removes only the labels that
// events gave it, because the row still exists; an item that came from events is deleted.
//
// A label for an unknown item is buffered until the item arrives, because the sources are not ordered relative to each
// other; the daemon deletes labels that were buffered for long. A text in an event for an item of the table is ignored,
// because the next full read would undo it.

// Event is what an event source reports about one item: labels, a text or a deletion.
type Event struct {
	// Key identifies the event within its source: the sender's key, or one that the source derives from the message.
	// An event whose key is stored changes nothing; the daemon deletes old keys. Without a key it is "".
	Key string
	// File is the label file that contains the event. Reading identifies the pass over the file: it changes when the
	// file is read again from its start. In such a pass, Again is set until the file's writer pauses: events with Again
	// that the previous pass also contained are ignored.
	File    string
	Reading int64
	Again   bool

	Item   string
	Delete bool
	Text   map[string]string // by field; nil leaves the text as it is
	Labels Labels            // by target; targets that are missing here keep their label
	Unset  []string          // the targets whose label is removed
	At     time.Time
	// Ordered means that At is the sender's time: an older event of the same source about the same target then never
	// replaces a newer one.
	Ordered bool
	Author  string
	Origin  string // like Change.Origin; a payload can never set it

	// Subject identifies an object of an annotation tool, such as an annotation, whose newest version replaces all
	// earlier ones. An event with Withdrawn removes the labels that the subject set, unless a later label replaced
	// them; its Item may be empty.
	Subject   string
	Withdrawn bool
	// Alias is the annotation tool's own id of the item. A deletion may have an Alias and no Item.
	Alias string
}

// Batch is the unit that a source stores in one transaction.
type Batch struct {
	Source string
	Events []Event
	// Marks are the positions reached after the events, by name: "" for the source itself, or the name of a file. An
	// empty position deletes the stored position and everything that is stored about the events of that file.
	Marks map[string]string
	// Renamed maps the old names of renamed files to their new ones; everything stored about a file moves with it.
	Renamed map[string]string
}

// Receipt counts what happened to the events of a batch.
type Receipt struct {
	Taken   int `json:"accepted"`        // stored, whether or not they changed a label
	Known   int `json:"duplicate"`       // ignored: their key is stored
	Waiting int `json:"waiting"`         // part of Taken: buffered until their item is known
	Older   int `json:"older,omitempty"` // ignored: newer events replaced all of it, or the item to delete is unknown
}

// Inbox stores the events of event sources. Each Take is one transaction. The daemon implements it; safe for
// concurrent use.
type Inbox interface {
	// Marks returns the stored positions of a source, by name.
	Marks(ctx context.Context, source string) (map[string]string, error)
	Take(ctx context.Context, b Batch) (Receipt, error)
}
