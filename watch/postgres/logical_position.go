package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pglogrepl"
)

// logPosition is the cursor of capture: logical, a place in the server's log.
type logPosition struct {
	Capture Capture `json:"capture"`
	identity
	Definition string `json:"definition"`
	Spelling   int    `json:"spelling"`          // how keys are written as text
	Published  string `json:"published"`         // oids of the publication and the table's place in it: others mean that changes are missing
	Storage    string `json:"storage,omitempty"` // digest of a partitioned table's files: a truncated partition is in no log
	Meaning    string `json:"meaning"`           // digest of what labels are made of
	// LSN is where the last transaction ended that was read whole; what committed before it was read.
	LSN lsn `json:"lsn"`
	// Within and Done stand inside a large transaction: of the one that commits at Within, Done rows were read.
	Within lsn `json:"within,omitempty"`
	Done   int `json:"done,omitempty"`
	// Snapshot is that of a whole-table read: what is visible in it was read, though it lies behind LSN. From Until on
	// nothing is.
	Snapshot string `json:"snapshot,omitempty"`
	Until    lsn    `json:"until,omitempty"`
}

// lsn is a position in the log; in JSON it is written as PostgreSQL does, "16/B374D848".
type lsn pglogrepl.LSN

func (l lsn) String() string { return pglogrepl.LSN(l).String() }

// MarshalText implements encoding.TextMarshaler.
func (l lsn) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *lsn) UnmarshalText(text []byte) error {
	parsed, err := pglogrepl.ParseLSN(string(text))
	*l = lsn(parsed)
	return err
}

func parseLogPosition(text string) (logPosition, error) {
	var p logPosition
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return logPosition{}, fmt.Errorf("stored cursor %.100q: %w", text, err)
	}
	if p.Capture != CaptureLogical {
		return logPosition{}, otherCapture(p.Capture)
	}
	return p, nil
}

func (p logPosition) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // it holds only text and numbers
	}
	return string(text)
}

// key names the n-th row of the transaction that commits at l for ever: positions alone come again in another cluster
// or on another timeline.
func (p logPosition) key(l lsn, n int) string {
	return fmt.Sprintf("%s/%d/%s:%d", p.System, p.Timeline, l, n)
}

// serverState is what a connection found.
type serverState struct {
	logPosition        // identity, definition, publication and storage as they are now
	End         lsn    // of the log
	Slot        string // its name
	Exists      bool   // whether there is a slot
	Status      string // "lost" when the server has removed what the slot needs
	Confirmed   lsn    // what the slot was told to be stored
}

// lost says why reading cannot go on from p, or "", and whether the slot must be made anew.
func (p logPosition) lost(now *serverState) (reason string, renew bool) {
	switch {
	case p.foreign(now.identity) != "":
		return p.foreign(now.identity), true
	case p.LSN > now.End:
		return serverBehind, true
	case !now.Exists:
		return "the replication slot " + now.Slot + " is gone", true
	case now.Status == "lost":
		return "the replication slot " + now.Slot +
			" was invalidated (the server keeps no more log than max_slot_wal_keep_size, and retraind was away for longer)", true
	case p.Published != now.Published:
		return "the publication was changed", true
	case now.Confirmed > p.LSN:
		// Nothing is confirmed that is not stored.
		return "the replication slot " + now.Slot + " was made anew, or read by somebody else", false
	case p.Definition != now.Definition:
		return "the label's definition changed", false
	case p.Spelling != now.Spelling:
		return otherSpelling, false
	case p.Storage != now.Storage:
		return "a partition was truncated, rewritten, attached or detached", false
	case p.Meaning != now.Meaning:
		return meaningChanged, false
	}
	return "", false
}

// holds tells whether a transaction is visible. The log names it by the low 32 bits of its id; it is near the snapshot.
func (s snapshot) holds(low uint32) bool {
	xid := uint64(int64(s.next) + int64(int32(low-uint32(s.next))))
	return xid < s.oldest || xid < s.next && !slices.Contains(s.running, strconv.FormatUint(xid, 10))
}
