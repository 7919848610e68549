package postgres

import (
	"encoding/json"
	"fmt"
	"time"
)

// pollPosition is the cursor of capture: poll. All rows with a watermark up to Floor were read, and no open
// transaction can still add such a row, if the assumption at seenWatermark is true.
type pollPosition struct {
	Capture Capture `json:"capture"`
	identity
	Definition string `json:"definition"`
	Spelling   int    `json:"spelling"` // how keys are written as text
	Storage    string `json:"storage"`  // digest of the table's files
	Meaning    string `json:"meaning"`  // digest of everything that labels are computed from
	// Epoch and Look number the polls. No pair is used twice, because they are part of the keys of the changes.
	Epoch int64 `json:"epoch"`
	Look  int64 `json:"look"`
	// Floor is nil until a watermark has become the floor for the first time (see seenWatermark).
	Floor    *string         `json:"floor"`
	Pending  []seenWatermark `json:"pending,omitempty"`
	Snapshot string          `json:"snapshot"` // of the last poll
	Compared time.Time       `json:"compared"` // when the whole table was last read, by the server's clock
}

// seenWatermark is the greatest watermark of a poll. It is assumed that transactions which write a lower watermark have
// begun to write at most overlap after the poll. The watermark becomes the floor when all transactions that had begun
// by then have ended.
type seenWatermark struct {
	At   string    `json:"at"`
	Seen time.Time `json:"seen"`           // by the server's clock
	Next uint64    `json:"next,omitempty"` // first transaction id not assigned when overlap had passed; 0 before
}

// maxPending bounds the cursor. More entries would only make the floor move in smaller steps.
const maxPending = 8

func parsePollPosition(text string) (pollPosition, error) {
	var m pollPosition
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return pollPosition{}, fmt.Errorf("stored cursor %.100q: %w", text, err)
	}
	if m.Capture != CapturePoll {
		return pollPosition{}, otherCapture(m.Capture)
	}
	_, err := parseSnapshot(m.Snapshot)
	return m, err
}

func (m pollPosition) String() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // cannot happen: m contains only text, numbers and times
	}
	return string(text)
}

// key returns a permanent name for the state of an item at one poll.
func (m pollPosition) key(item string) string {
	return fmt.Sprintf("poll/%d:%d:%s", m.Epoch, m.Look, item)
}

// seen returns the position after a poll. The floor moves to the greatest pending watermark up to which no further row
// can appear. greatest, the greatest watermark of this poll (nil if the table has none), becomes pending, unless it is
// known already, another one became pending less than overlap/4 ago, or maxPending are pending. The parameter now is
// the poll's snapshot, text is this snapshot as stored, and at is the poll's time by the server's clock.
func (m pollPosition) seen(now snapshot, text string, at time.Time, greatest *string, overlap time.Duration) pollPosition {
	m.Snapshot = text
	m.Pending = append([]seenWatermark(nil), m.Pending...)
	for i, p := range m.Pending {
		if p.Next == 0 && at.Sub(p.Seen) >= overlap {
			m.Pending[i].Next = now.next
		}
	}
	for len(m.Pending) > 0 && m.Pending[0].Next > 0 && m.Pending[0].Next <= now.oldest {
		m.Floor, m.Pending = &m.Pending[0].At, m.Pending[1:]
	}
	if greatest == nil {
		return m
	}
	next := seenWatermark{At: *greatest, Seen: at}
	switch n := len(m.Pending); {
	case n == 0 && (m.Floor == nil || *m.Floor != next.At), n > 0 && n < maxPending && m.Pending[n-1].At != next.At &&
		at.Sub(m.Pending[n-1].Seen) >= overlap/4:
		m.Pending = append(m.Pending, next)
	}
	return m
}

// lost returns the reason why reading cannot continue from m, or "" if it can. `next` is the first transaction id that
// the server has not assigned.
func (m pollPosition) lost(now pollPosition, next uint64) string {
	seen, err := parseSnapshot(m.Snapshot)
	switch {
	case err != nil:
		return err.Error()
	case m.foreign(now.identity) != "":
		return m.foreign(now.identity)
	case m.Definition != now.Definition:
		return "the label's definition changed"
	case m.Spelling != now.Spelling:
		return otherSpelling
	case seen.next > next:
		return serverBehind
	case m.Storage != now.Storage:
		return tableRewritten
	case m.Meaning != now.Meaning:
		return meaningChanged
	}
	return ""
}

// tableRewritten is the reason for a full read when a table's files changed.
const tableRewritten = "the table was truncated or rewritten"
