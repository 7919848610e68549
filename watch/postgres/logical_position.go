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
	Spelling   int    `json:"spelling"` // how keys are written as text
	// Published has the oids of the publication and of the table's entry in it. If they differ, changes are missing.
	Published string `json:"published"`
	// Storage is a digest of a partitioned table's files, because the log does not report truncated partitions.
	Storage string `json:"storage,omitempty"`
	Meaning string `json:"meaning"` // digest of everything that labels are computed from
	// LSN is the end of the last transaction that was read completely; everything that committed before it was
	// read.
	LSN lsn `json:"lsn"`
	// Within and Done are a position inside a large transaction: Done rows of the transaction that commits at Within
	// were read.
	Within lsn `json:"within,omitempty"`
	Done   int `json:"done,omitempty"`
	// Snapshot is the snapshot of a full read. Transactions that are visible in it were read, even if they committed
	// after LSN. No transaction that committed at or after Until is visible in it.
	Snapshot string `json:"snapshot,omitempty"`
	Until    lsn    `json:"until,omitempty"`
}

// lsn is a position in the log; in JSON it is written as PostgreSQL writes it, "16/B374D848".
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
		panic(err) // cannot happen: p contains only text and numbers
	}
	return string(text)
}

// key returns a permanent name for the n-th row of the transaction that commits at l. Log positions alone are not
// unique: they recur in another cluster or on another timeline.
func (p logPosition) key(l lsn, n int) string {
	return fmt.Sprintf("%s/%d/%s:%d", p.System, p.Timeline, l, n)
}

// serverState is the server's current state.
type serverState struct {
	logPosition        // with the current identity, definition, publication and storage
	End         lsn    // end of the log
	Slot        string // name of the replication slot
	Exists      bool   // whether the slot exists
	Status      string // "lost" when the server has removed log that the slot needs
	Confirmed   lsn    // the position up to which the slot was confirmed
}

// lost returns the reason why reading cannot continue from p, or "" if it can, and whether the slot must be created
// again (renew).
func (p logPosition) lost(now *serverState) (reason string, renew bool) {
	switch {
	case p.foreign(now.identity) != "":
		return p.foreign(now.identity), true
	case p.LSN > now.End:
		return serverBehind, true
	case !now.Exists:
		return "the replication slot " + now.Slot + " is missing", true
	case now.Status == "lost":
		return "the replication slot " + now.Slot +
			" was invalidated (retraind was down for so long that the unread log exceeded max_slot_wal_keep_size)", true
	case p.Published != now.Published:
		return "the publication was changed", true
	case now.Confirmed > p.LSN:
		// Only stored positions are confirmed, so the slot is not ahead of p unless something else moved it.
		return "the replication slot " + now.Slot + " was created again, or read by another client", false
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

// holds reports whether a transaction is visible in the snapshot. The log contains only the low 32 bits of the
// transaction's id; the missing bits follow from the snapshot, whose ids are close.
func (s snapshot) holds(low uint32) bool {
	xid := uint64(int64(s.next) + int64(int32(low-uint32(s.next))))
	return xid < s.oldest || xid < s.next && !slices.Contains(s.running, strconv.FormatUint(xid, 10))
}
