package postgres

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// poller is one connection that polls the table.
type poller struct {
	*Source
	conn      *pgx.Conn
	at        pollPosition
	isView    bool // the table is a view: its rows have no xmin
	watermark string
	wmType    string
	// known contains digests of up to maxKnown rows that the last poll read, so that unchanged rows are not passed to the
	// sink again at each poll. It is empty after a full read.
	known map[string]uint64
	seed  maphash.Seed
}

// maxKnown bounds the size of known. Rows that are not in known are passed to the sink again, which finds that they are
// unchanged.
const maxKnown = 50_000

// openPoll connects and checks that the table can be polled.
func (s *Source) openPoll(ctx context.Context) (*poller, error) {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	p := &poller{Source: s, conn: conn, watermark: s.cfg.watermark(), known: map[string]uint64{}, seed: maphash.MakeSeed()}
	err = guardQueries(ctx, s.cfg, conn, func(ctx context.Context) error {
		columns, err := s.inspected(ctx, conn)
		if err != nil {
			return err
		}
		p.wmType = columns[p.watermark]
		kind, err := s.schema.relationKind(ctx, conn)
		p.isView = kind != "r" && kind != "p"
		return err
	})
	if err != nil {
		s.closeConn(conn)
		return nil, err
	}
	return p, nil
}

// followPoll polls until ctx ends or the connection breaks.
func (s *Source) followPoll(ctx context.Context, onUp func()) error {
	p, err := s.openPoll(ctx)
	if err != nil {
		return err
	}
	defer s.closeConn(p.conn)
	return guardQueries(ctx, s.cfg, p.conn, func(ctx context.Context) error { return p.run(ctx, onUp) })
}

func (p *poller) run(ctx context.Context, onUp func()) error {
	for first := true; ; first = false {
		if err := p.pollOnce(ctx, first); err != nil {
			return err
		}
		if first {
			onUp()
		}
		wait := p.cfg.poll()
		if p.isView && p.at.Floor == nil {
			wait = max(wait, p.cfg.overlap()) // without a floor, each poll reads the whole view
		}
		if err := p.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// wait waits for the next poll, and pings in between to detect a dead peer.
func (p *poller) wait(ctx context.Context, wait time.Duration) error {
	for wait > 0 {
		step := min(wait, pingEvery)
		if err := pause(ctx, step); err != nil {
			return err
		}
		if wait -= step; wait > 0 {
			limited, cancel := context.WithTimeout(ctx, pingTimeout)
			err := p.conn.Ping(limited)
			cancel()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pollOnce reads the rows that were written since the last poll. It reads the whole table instead if it cannot continue
// from the position, or if a periodic compare is due. At the first poll of a connection it loads the stored position.
func (p *poller) pollOnce(ctx context.Context, first bool) error {
	stored := ""
	if first {
		var err error
		if stored, err = p.sink.Cursor(ctx, p.Name()); err != nil {
			return &sinkError{"read the cursor", err}
		}
	}
	now := pollPosition{
		Capture: CapturePoll, Definition: p.schema.labelDefinition() + " " + p.watermark,
		Spelling: spelling,
	}
	// This query is run before the snapshot is taken, because the catalog is always read in its current state, even by
	// a transaction whose snapshot shows older rows.
	if err := p.conn.QueryRow(ctx, "SELECT "+storage+", "+p.schema.meaning(), p.schema.table).Scan(&now.Storage,
		&now.Meaning); err != nil {
		return err
	}
	tx, err := beginRead(ctx, p.conn)
	if err != nil {
		return err
	}
	// After any error the connection is closed, which also ends the transaction.
	var text string
	var clock time.Time
	err = tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, clock_timestamp(), "+identityColumns).
		Scan(&text, &clock, &now.System, &now.Timeline)
	if err != nil {
		return err
	}
	seen, err := parseSnapshot(text)
	if err != nil {
		return err
	}
	reason := ""
	if first {
		if stored == "" {
			p.otherSpelling = true // items of an earlier read may exist even without a cursor
			reason = firstRead
		} else if p.at, err = parsePollPosition(stored); err != nil {
			reason = err.Error()
		}
	}
	if reason == "" {
		p.otherSpelling = p.at.Spelling != spelling
		reason = p.at.lost(now, seen.next)
	}
	if reason == "" && first {
		if err := p.dropOddWatermarks(ctx, tx); err != nil {
			return err
		}
	}
	// The last compare is in the future if the server's clock was set back.
	compare := reason == "" && (clock.Sub(p.at.Compared) >= p.cfg.compare() || clock.Before(p.at.Compared))
	if reason != "" {
		p.logFullRead(reason)
	}
	if reason == "" && !compare {
		err = p.readNew(ctx, tx, seen, text, clock)
	} else {
		err = p.fullRead(ctx, tx, now, seen, text, clock, compare)
	}
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// fullRead reads the whole table. A periodic compare keeps the floor; any other full read discards it.
func (p *poller) fullRead(ctx context.Context, tx pgx.Tx, now pollPosition, seen snapshot, text string, clock time.Time,
	keep bool,
) error {
	next := now
	next.Epoch = clock.UnixNano()
	if keep {
		next = p.at
		next.Look++
	}
	var greatest *string
	column := "r." + ident(p.watermark)
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT (max(%s) FILTER (WHERE %s))::text FROM %s AS r", column,
		p.plausible(column), p.schema.table)).Scan(&greatest); err != nil {
		return err
	}
	next.Compared = clock
	next = next.seen(seen, text, clock, greatest, p.cfg.overlap())
	count, err := p.replace(ctx, tx, next.String(), false)
	if err != nil {
		return err
	}
	p.at = next
	clear(p.known)
	p.Stored(watch.Receipt{Taken: max(1, count)})
	return nil
}
