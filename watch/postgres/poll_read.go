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

// newRowsQuery returns the query for the rows above the floor whose transactions were open at the last poll or began
// later. It selects each row whose xmin is at least the id of the oldest open transaction, because xmin may be the id
// of a subtransaction, which began after that transaction. It compares distances to the next transaction id, because
// xmin has only 32 bits. A view has no xmin, so all its rows above the floor are selected.
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
	sql = fmt.Sprintf("%s, %s::text, CASE WHEN %s THEN %s::text END FROM %s AS r WHERE %[4]s IS NOT NULL", sql, author,
		p.plausible(column), column, p.schema.table)
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

// plausible returns an SQL condition that is false for infinity, NaN and times in the future. Such a watermark never
// becomes the floor, because the rows that are written next would be below it. A time without a time zone may be up to a
// day in the future, because it may be the time of a zone ahead of UTC.
func (p *poller) plausible(column string) string {
	switch {
	case strings.HasSuffix(p.wmType, "with time zone"):
		return fmt.Sprintf("(isfinite(%s) AND %[1]s <= now())", column)
	case strings.HasPrefix(p.wmType, "timestamp") || p.wmType == "date":
		return fmt.Sprintf("(isfinite(%s) AND %[1]s <= now() + interval '1 day')", column)
	case strings.HasPrefix(p.wmType, "numeric") || p.wmType == "double precision" || p.wmType == "real":
		return column + " < 'infinity'::float8" // NaN is greater than infinity
	}
	return "true"
}

// dropOddWatermarks drops the floor and the pending watermarks of a stored position if any of them is not plausible. An
// earlier version could store such a position.
func (p *poller) dropOddWatermarks(ctx context.Context, tx pgx.Tx) error {
	marks := []string{}
	if p.at.Floor != nil {
		marks = append(marks, *p.at.Floor)
	}
	for _, pending := range p.at.Pending {
		marks = append(marks, pending.At)
	}
	var usual bool
	err := tx.QueryRow(ctx, fmt.Sprintf("SELECT coalesce(bool_and(%s), true) FROM unnest($1::text[]::%s[]) AS v(v)",
		p.plausible("v.v"), p.wmType), marks).Scan(&usual)
	if err == nil && !usual {
		p.at.Floor, p.at.Pending = nil, nil
	}
	return err
}

// readNew passes the changed rows to the sink in batches. The last batch moves the position.
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
	// Deferred calls run in reverse order: cancel first, so that Close need not read the remaining rows.
	defer rows.Close()
	defer cancel()
	within := p.at // its higher Look is stored with each batch, so that after a crash no key is used again
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
		if last := raw[len(raw)-1]; last != nil {
			mark := string(last)
			greatest = &mark
		}
		digest := p.digest(raw)
		if len(known) < maxKnown {
			known[item.ID] = digest
		}
		if old, ok := p.known[item.ID]; item.ID == "" || ok && old == digest {
			continue
		}
		change := watch.Change{
			Key: within.key(item.ID), Op: watch.OpPut, Item: item.ID, Text: item.Text, New: item.Labels,
			At: item.At,
		}
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
		p.at.Snapshot = text // not stored: a restart does not need it
		return nil
	}
	return p.store(ctx, batch, next)
}

// sameBounds reports whether a restart would read the same rows from both positions.
func sameBounds(a, b pollPosition) bool {
	return slices.Equal(a.Pending, b.Pending) && (a.Floor == b.Floor || a.Floor != nil && b.Floor != nil &&
		*a.Floor == *b.Floor)
}

func (p *poller) store(ctx context.Context, batch []watch.Change, next pollPosition) error {
	if err := p.sink.Append(ctx, p.Name(), batch, next.String()); err != nil {
		return &sinkError{"store label changes", err}
	}
	p.at = next
	if len(batch) > 0 {
		p.Stored(watch.Receipt{Taken: len(batch)})
	}
	return nil
}

// batchBytes bounds, together with batchRows, the memory of a batch.
const batchBytes = 1 << 20

func rowSize(raw [][]byte) int {
	n := 64 * len(raw)
	for _, v := range raw {
		n += len(v)
	}
	return n
}

// digest returns a hash of a row, to detect changes.
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

// authorOf returns the author column's value as the author, and also as the origin if retraind wrote it.
func authorOf(value []byte) (author, origin string) {
	if watch.IsOwn(string(value)) {
		return string(value), string(value)
	}
	return string(value), ""
}
