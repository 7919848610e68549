package postgres

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// position is the cursor of a PostgreSQL source: a snapshot, as PostgreSQL itself defines what a reader sees. What is
// visible in it was read. Neither sequence numbers nor transaction ids alone would do, since transactions do not
// commit in the order of either.
type position struct {
	Capture Capture `json:"capture,omitempty"` // empty: the outbox
	identity
	Statistics   int64  `json:"statistics"` // when the server began its statistics, in µs since 1970
	Outbox       uint32 `json:"outbox"`     // oid of the outbox table; another one means that rows are missing
	Definition   string `json:"definition"` // what the triggers recorded
	SchemaDigest string `json:"shape"`      // digest of the table and its triggers
	Spelling     int    `json:"spelling"`   // how keys are written as text
	Snapshot     string `json:"snapshot"`   // what is visible in it was read
	Last         rowID  `json:"last"`       // the row that was read with the greatest transaction id; that id is 0 before any
	// Compare: the server crashed, and the table was not compared since.
	Compare bool `json:"compare,omitempty"`
	// Upto, Seq and Top stand inside a round: of what is visible in Upto and not in Snapshot, rows up to Seq were read,
	// and Top is the one with the greatest transaction id of those.
	Upto string `json:"upto,omitempty"`
	Seq  int64  `json:"seq,omitempty"`
	Top  rowID  `json:"top,omitzero"`
}

// rowID is one of the outbox.
type rowID struct {
	XID uint64 `json:"xid"`
	Seq int64  `json:"seq"`
}

// later is the one with the greater transaction id.
func (r rowID) later(other rowID) rowID {
	if other.XID >= r.XID {
		return other
	}
	return r
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

// A server that crashed has forgotten the transactions whose log was not on disk yet: those that had not written a row
// that counts, and asynchronous commits, which may have been read. It gives their ids again. So a position rests on the
// ids of rows that were read, not on what a snapshot says is past; and as a commit that is gone is gone from the table
// too, the table is compared. Nothing tells of a crash but that the server began its statistics anew, which it does after
// each and else only when somebody asks for it.
const (
	statisticsColumn = `(SELECT coalesce((extract(epoch FROM stats_reset) * 1000000)::bigint, 0) FROM pg_stat_bgwriter)`
	serverCrashed    = "the server crashed (or its statistics were reset): what it committed last may be gone"
)

// key names a row of the outbox for ever: transaction ids alone come again in another cluster, on another timeline and
// after a crash.
func (p position) key(xid string, seq int64) string {
	return fmt.Sprintf("%s/%d/%x/%s:%d", p.System, p.Timeline, p.Statistics, xid, seq)
}

// survive is p on a server that has crashed since, began its statistics anew and sees now. A round that was begun ends
// with what is past now as well: not with ids that were given again.
func (p position) survive(statistics int64, now snapshot) (position, error) {
	p.Statistics, p.Compare = statistics, true
	if p.Upto == "" {
		return p, nil
	}
	upto, err := parseSnapshot(p.Upto)
	p.Upto = upto.both(now).String()
	return p, err
}

// unread are the transactions whose rows may still appear: all from an id on, and some before it that were running.
func (p position) unread() (from string, running []string, err error) {
	seen, err := parseSnapshot(p.Snapshot)
	running = []string{}
	for _, xid := range seen.running {
		if id, err := parseXID(xid); err != nil {
			return "", nil, err
		} else if id <= p.Last.XID {
			running = append(running, xid)
		}
	}
	return strconv.FormatUint(p.Last.XID+1, 10), running, err
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
	case p.Spelling != now.Spelling:
		return otherSpelling
	case p.SchemaDigest != now.SchemaDigest:
		return schemaReason(p.SchemaDigest, now.SchemaDigest)
	case p.Last.XID >= next:
		return serverBehind
	case pruned >= seen.oldest:
		return "rows were pruned before they were read"
	case p.Statistics != now.Statistics:
		return serverCrashed
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

// both is what is visible in each of two snapshots.
func (s snapshot) both(other snapshot) snapshot {
	next := min(s.next, other.next)
	out := snapshot{oldest: min(s.oldest, other.oldest), next: next}
	for _, xid := range slices.Concat(s.running, other.running) {
		if id, err := parseXID(xid); err == nil && id < next && !slices.Contains(out.running, xid) {
			out.running = append(out.running, xid)
		}
	}
	slices.SortFunc(out.running, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)),
			strings.Compare(a, b))
	})
	return out
}

func (s snapshot) String() string {
	return fmt.Sprintf("%d:%d:%s", s.oldest, s.next, strings.Join(s.running, ","))
}

func parseXID(text string) (uint64, error) {
	xid, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("transaction id %q: %w", text, err)
	}
	return xid, nil
}
