package postgres

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// position is the cursor of capture: outbox. It contains a PostgreSQL snapshot: the transactions that are visible in
// it were read. A sequence number or a transaction id alone would not be enough, because transactions do not commit
// in the order of their sequence numbers or ids.
type position struct {
	Capture Capture `json:"capture,omitempty"` // empty: the outbox
	identity
	Statistics   int64  `json:"statistics"` // when the server's statistics were last reset, in µs since 1970
	Outbox       uint32 `json:"outbox"`     // oid of the outbox table; another one means missing rows
	Definition   string `json:"definition"` // digest of what the triggers record
	SchemaDigest string `json:"shape"`      // digest of the table and its triggers
	Spelling     int    `json:"spelling"`   // how keys are written as text
	Snapshot     string `json:"snapshot"`   // transactions visible in it were read
	Last         rowID  `json:"last"`       // the row read with the greatest transaction id; zero before the first row
	// Compare means that the server has crashed, and that the table was not compared since.
	Compare bool `json:"compare,omitempty"`
	// Upto, Seq and Top are a position inside a round, which reads the rows that are visible in Upto and not in
	// Snapshot. The rows up to Seq were read, and Top is the read row with the greatest transaction id.
	Upto string `json:"upto,omitempty"`
	Seq  int64  `json:"seq,omitempty"`
	Top  rowID  `json:"top,omitzero"`
}

// rowID identifies a row of the outbox.
type rowID struct {
	XID uint64 `json:"xid"`
	Seq int64  `json:"seq"`
}

// later returns the row with the greater transaction id.
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
		panic(err) // cannot happen: p contains only text and numbers
	}
	return string(text)
}

// After a crash a server has lost the transactions whose log was not on disk yet: transactions without a recorded
// row, and asynchronous commits, which retraind may have read. The server then reuses the ids of the lost
// transactions. So after a crash the ids in a position's snapshot are not trusted: reading continues from that position
// only if the rows that were read still exist. A lost commit is missing in the table too, so the table is compared. The
// only sign of a crash is that the server's statistics were reset, which otherwise happens only on request.
const (
	statisticsColumn = `(SELECT coalesce((extract(epoch FROM stats_reset) * 1000000)::bigint, 0) FROM pg_stat_bgwriter)`
	serverCrashed    = "the server crashed (or its statistics were reset): its last commits may be lost"
)

// key returns a permanent name for a row of the outbox. Transaction ids alone recur in another cluster, on another
// timeline and after a crash.
func (p position) key(xid string, seq int64) string {
	return fmt.Sprintf("%s/%d/%x/%s:%d", p.System, p.Timeline, p.Statistics, xid, seq)
}

// survive returns the position that replaces p after a crash of the server; `now` is the server's current snapshot. A
// round that had begun is limited to the transactions that are visible both in Upto and in `now`, because ids may have
// been reused.
func (p position) survive(statistics int64, now snapshot) (position, error) {
	p.Statistics, p.Compare = statistics, true
	if p.Upto == "" {
		return p, nil
	}
	upto, err := parseSnapshot(p.Upto)
	p.Upto = upto.both(now).String()
	return p, err
}

// unread returns the transactions whose rows may still appear: all with an id of at least the first result, and those
// lower ids that were running at the last snapshot.
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

// lost returns the reason why reading cannot continue from p, or "" if it can. `next` is the first transaction id that
// the server has not assigned; `pruned` is the highest transaction id whose rows were removed.
func (p position) lost(now position, next, pruned uint64) string {
	seen, err := parseSnapshot(p.Snapshot)
	switch {
	case err != nil:
		return err.Error()
	case p.foreign(now.identity) != "":
		return p.foreign(now.identity)
	case p.Outbox != now.Outbox:
		return "the outbox table was created again"
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

// snapshot is a pg_snapshot. Transactions with an id below oldest are visible. Those with an id of at least next, and
// those in running, are not.
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

// both returns the intersection of two snapshots: transactions visible in both.
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
