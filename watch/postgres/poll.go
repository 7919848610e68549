package postgres

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// poller is one connection that looks at the table again and again.
type poller struct {
	*Source
	conn      *pgx.Conn
	at        pollPosition
	isView    bool // the table is a view: its rows do not tell which transaction wrote them
	watermark string
	wmType    string
	// known holds digests of the rows above the floor at the last look, which would otherwise come again at each one.
	known map[string]uint64
	seed  maphash.Seed
}

// maxKnown bounds known; what is not in it is given to the sink again, which sees that nothing changed.
const maxKnown = 50_000

// openPoll connects and proves that the table can be polled.
func (s *Source) openPoll(ctx context.Context) (*poller, error) {
	conn, err := dial(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	p := &poller{Source: s, conn: conn, watermark: s.cfg.watermark(), known: map[string]uint64{}, seed: maphash.MakeSeed()}
	err = func() error {
		columns, err := s.inspected(ctx, conn)
		if err != nil {
			return err
		}
		p.wmType = columns[p.watermark]
		kind, err := s.schema.relationKind(ctx, conn)
		p.isView = kind != "r" && kind != "p"
		return err
	}()
	if err != nil {
		s.closeConn(conn)
		return nil, explain(s.cfg, err)
	}
	return p, nil
}

// followPoll looks until ctx ends or the connection breaks.
func (s *Source) followPoll(ctx context.Context, onUp func()) error {
	p, err := s.openPoll(ctx)
	if err != nil {
		return err
	}
	defer s.closeConn(p.conn)
	for first := true; ; first = false {
		if err := p.pollOnce(ctx, first); err != nil {
			return explain(s.cfg, err)
		}
		if first {
			onUp()
		}
		wait := s.cfg.poll()
		if p.isView && p.at.Floor == nil {
			wait = max(wait, s.cfg.overlap()) // each look reads the whole view until then
		}
		if err := p.wait(ctx, wait); err != nil {
			return explain(s.cfg, err)
		}
	}
}

// wait waits for the next look, and pings between so that a dead peer is seen.
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

// pollOnce reads what was written since the last one; at the first of a connection, and when it is time, it compares the
// whole table.
func (p *poller) pollOnce(ctx context.Context, first bool) error {
	stored := ""
	if first {
		var err error
		if stored, err = p.sink.Cursor(ctx, p.Name()); err != nil {
			return fmt.Errorf("read the cursor: %w", err)
		}
	}
	now := pollPosition{Capture: CapturePoll, Definition: p.schema.definition() + " " + p.watermark}
	// Before the table is looked at: a catalog is read as it is now, even where the rows are seen as they were.
	if err := p.conn.QueryRow(ctx, "SELECT "+storage, p.schema.table).Scan(&now.Storage); err != nil {
		return err
	}
	tx, err := p.conn.BeginTx(ctx, repeatableRead)
	if err != nil {
		return err
	}
	// The connection is given up after any error, and with it the transaction.
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
			reason = firstRead
		} else if p.at, err = parsePollPosition(stored); err != nil {
			reason = err.Error()
		}
	}
	if reason == "" {
		reason = p.at.lost(now, seen.next)
	}
	compare := reason == "" && clock.Sub(p.at.Compared) >= p.cfg.compare()
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

// fullRead reads the whole table. A periodic compare keeps the floor; otherwise what was known means nothing any more.
func (p *poller) fullRead(ctx context.Context, tx pgx.Tx, now pollPosition, seen snapshot, text string, clock time.Time, keep bool) error {
	next := now
	next.Epoch = clock.UnixNano()
	if keep {
		next = p.at
		next.Look++
	}
	var greatest *string
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT max(r.%s)::text FROM %s AS r", ident(p.watermark), p.schema.table)).Scan(&greatest); err != nil {
		return err
	}
	next.Compared = clock
	next = next.seen(seen, text, clock, greatest, p.cfg.overlap())
	count, err := p.replace(ctx, tx, next.String())
	if err != nil {
		return err
	}
	p.at = next
	clear(p.known)
	p.Stored(watch.Receipt{Taken: max(1, count)})
	return nil
}

// newRowsQuery selects the rows above the floor that transactions wrote which were open at the last look or began later.
// A row's xmin has 32 bits and may be a subtransaction's, which started after the oldest that was open.
func (p *poller) newRowsQuery() (sql string, args []any, err error) {
	last, err := parseSnapshot(p.at.Snapshot)
	if err != nil {
		return "", nil, err
	}
	column := "r." + ident(p.watermark)
	author := "NULL"
	if p.cfg.Author != "" {
		author = "r." + ident(p.cfg.Author)
	}
	sql = strings.TrimSuffix(p.schema.tableQuery(), " FROM "+p.schema.table+" AS r")
	sql = fmt.Sprintf("%s, %s::text, %s::text FROM %s AS r WHERE %s IS NOT NULL", sql, author, column, p.schema.table, column)
	if p.at.Floor != nil {
		args = append(args, *p.at.Floor)
		sql += fmt.Sprintf(" AND %s > $%d::text::%s", column, len(args), p.wmType)
	}
	if !p.isView {
		args = append(args, int64(last.oldest))
		sql += fmt.Sprintf(` AND ((pg_snapshot_xmax(pg_current_snapshot())::text::bigint - r.xmin::text::bigint) & 4294967295)
			<= pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $%d::bigint`, len(args))
	}
	return sql + " ORDER BY " + column, args, nil
}

// readNew gives the rows that changed to the sink, in batches; the last one moves the mark.
func (p *poller) readNew(ctx context.Context, tx pgx.Tx, seen snapshot, text string, clock time.Time) error {
	sql, args, err := p.newRowsQuery()
	if err != nil {
		return err
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := tx.Query(limited, sql, args...)
	if err != nil {
		return err
	}
	// In this order: cancelled first, Close need not read what nobody wants.
	defer rows.Close()
	defer cancel()
	within := p.at // a crash after some batches must not use their keys again
	within.Look++
	var batch []watch.Change
	var greatest *string
	known := make(map[string]uint64)
	size := 0
	for rows.Next() {
		raw := rows.RawValues()
		item, err := p.schema.item(raw)
		if err != nil {
			return err
		}
		mark := string(raw[len(raw)-1])
		greatest = &mark
		digest := p.digest(raw)
		if len(known) < maxKnown {
			known[item.ID] = digest
		}
		if old, ok := p.known[item.ID]; item.ID == "" || ok && old == digest {
			continue
		}
		change := watch.Change{Key: within.key(item.ID), Op: watch.OpPut, Item: item.ID, Text: item.Text, New: item.Labels, At: item.At}
		if change.At.IsZero() {
			change.At = clock.UTC()
		}
		change.Author, change.Origin = authorOf(raw[len(raw)-2])
		batch = append(batch, change)
		if size += rowSize(raw); len(batch) == batchRows || size >= batchBytes {
			if err := p.store(ctx, batch, within); err != nil {
				return err
			}
			batch, size = nil, 0
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	next := within.seen(seen, text, clock, greatest, p.cfg.overlap())
	p.known = known
	if len(batch) == 0 && p.at.Look != within.Look && sameBounds(next, p.at) {
		p.at.Snapshot = text // nothing that a restart would need
		return nil
	}
	return p.store(ctx, batch, next)
}

// sameBounds tells whether a restart would read the same from both.
func sameBounds(a, b pollPosition) bool {
	return slices.Equal(a.Pending, b.Pending) && (a.Floor == b.Floor || a.Floor != nil && b.Floor != nil && *a.Floor == *b.Floor)
}

func (p *poller) store(ctx context.Context, batch []watch.Change, next pollPosition) error {
	if err := p.sink.Append(ctx, p.Name(), batch, next.String()); err != nil {
		return fmt.Errorf("store label changes: %w", err)
	}
	p.at = next
	if len(batch) > 0 {
		p.Stored(watch.Receipt{Taken: len(batch)})
	}
	return nil
}

// batchBytes bounds the memory of a batch beside batchRows.
const batchBytes = 1 << 20

func rowSize(raw [][]byte) int {
	n := 64 * len(raw)
	for _, v := range raw {
		n += len(v)
	}
	return n
}

// digest tells whether a row is as it was.
func (p *poller) digest(raw [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	for _, v := range raw {
		fmt.Fprintf(&h, "%d:", len(v)) // writing to a hash never fails
		if v == nil {
			h.WriteByte(0)
		}
		h.Write(v)
	}
	return h.Sum64()
}

// authorOf reads the author's column: retraind's own writes are marked in it.
func authorOf(value []byte) (author, origin string) {
	if watch.IsOwn(string(value)) {
		return string(value), string(value)
	}
	return string(value), ""
}
