package watch

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// position is the cursor of a PostgreSQL source: a snapshot, as PostgreSQL itself defines what a reader sees. What is
// visible in it was read. Neither sequence numbers nor transaction ids alone would do, since transactions do not
// commit in the order of either.
type position struct {
	Capture Capture `json:"capture,omitempty"` // empty: the outbox
	identity
	Outbox     uint32 `json:"outbox"`     // oid of the outbox table; another one means that rows are missing
	Definition string `json:"definition"` // what the triggers recorded
	Shape      string `json:"shape"`      // digest of the table and its triggers
	Snapshot   string `json:"snapshot"`   // what is visible in it was read
	// Upto and Seq stand inside a round: of what is visible in Upto and not in Snapshot, rows up to Seq were read.
	Upto string `json:"upto,omitempty"`
	Seq  int64  `json:"seq,omitempty"`
}

func parsePosition(text string) (position, error) {
	var p position
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return position{}, fmt.Errorf("stored cursor %.100q: %w", text, err)
	}
	if p.Capture != "" {
		return position{}, otherCapture(p.Capture)
	}
	_, err := parseSnapshot(p.Snapshot)
	return p, err
}

func (p position) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // it holds only text and numbers
	}
	return string(text)
}

// key names a row of the outbox for ever: transaction ids alone come again in another cluster or on another timeline.
func (p position) key(xid string, seq int64) string {
	return fmt.Sprintf("%s/%d/%s:%d", p.System, p.Timeline, xid, seq)
}

// lost says why reading cannot go on from p on a server that stands at now, or "". next is the first transaction id
// that the server has not given out; pruned is the last one whose rows were removed.
func (p position) lost(now position, next, pruned uint64) string {
	seen, err := parseSnapshot(p.Snapshot)
	switch {
	case err != nil:
		return err.Error()
	case p.foreign(now.identity) != "":
		return p.foreign(now.identity)
	case p.Outbox != now.Outbox:
		return "the outbox table was made anew"
	case p.Definition != now.Definition:
		return "the label's definition changed"
	case p.Shape != now.Shape:
		return reshaped
	case seen.next > next:
		return behind
	case pruned >= seen.oldest:
		return "rows were pruned before they were read"
	}
	return ""
}

// snapshot is a pg_snapshot: what ended before oldest is visible, what starts at next or is in running is not.
type snapshot struct {
	oldest, next uint64
	running      []string
}

func parseSnapshot(text string) (snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, fmt.Errorf("snapshot %.100q: want xmin:xmax:xids", text)
	}
	oldest, err := parseXID(parts[0])
	if err != nil {
		return snapshot{}, err
	}
	next, err := parseXID(parts[1])
	if err != nil {
		return snapshot{}, err
	}
	s := snapshot{oldest: oldest, next: next, running: []string{}}
	if parts[2] != "" {
		s.running = strings.Split(parts[2], ",")
	}
	return s, nil
}

func parseXID(text string) (uint64, error) {
	xid, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("transaction id %q: %w", text, err)
	}
	return xid, nil
}
