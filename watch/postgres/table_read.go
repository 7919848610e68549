package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

// tableQuery returns the query for key, time in microseconds since 1970, each label as JSON, and each text column.
// All columns are text, so that every type of key or label is read the same way.
func (s *schema) tableQuery() string {
	at := "NULL::text"
	if s.cfg.UpdatedAt != "" {
		column := "r." + ident(s.cfg.UpdatedAt) + "::timestamptz"
		at = "CASE WHEN isfinite(" + column + ") THEN (date_part('epoch', " + column + ") * 1000000)::bigint::text END"
	}
	columns := []string{s.key("r"), at}
	for _, t := range s.targets {
		columns = append(columns, ownLabel(t))
	}
	for _, column := range s.cfg.Text {
		columns = append(columns, "r."+ident(column)+"::text")
	}
	return fmt.Sprintf("SELECT %s FROM %s AS r", strings.Join(columns, ", "), s.table)
}

// rows streams the table through tx, one row in memory at a time. Stopping early closes the connection, because the
// server would otherwise send the remaining rows.
func (s *schema) rows(ctx context.Context, tx pgx.Tx) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		limited, cancel := context.WithCancel(ctx)
		defer cancel()
		rows, err := tx.Query(limited, s.tableQuery())
		if err != nil {
			yield(watch.Item{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			item, err := s.item(rows.RawValues())
			if err == nil && item.ID == "" {
				continue // a row without a key cannot be followed
			}
			if !yield(item, err) || err != nil {
				cancel() // before Close, which would read the remaining rows
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(watch.Item{}, err)
		}
	}
}

// item decodes a row of tableQuery. It copies the values out of the connection's buffer.
func (s *schema) item(raw [][]byte) (watch.Item, error) {
	item := watch.Item{ID: validText(string(raw[0])), Text: make(map[string]string, len(s.cfg.Text))}
	if raw[1] != nil {
		micros, err := strconv.ParseInt(string(raw[1]), 10, 64)
		if err != nil {
			return watch.Item{}, fmt.Errorf("row %s: time %.40q: %w", item.ID, raw[1], err)
		}
		item.At = time.UnixMicro(micros).UTC()
	}
	raw = raw[2:]
	item.Labels = make(watch.Labels, len(s.targets))
	for i, t := range s.targets {
		label, present, err := s.canonical(t.name, raw[i])
		if err != nil {
			return watch.Item{}, fmt.Errorf("row %s: label %s: %w", item.ID, t.name, err)
		}
		if present {
			item.Labels[t.name] = label
		}
	}
	for i, column := range s.cfg.Text {
		if value := raw[len(s.targets)+i]; value != nil {
			item.Text[column] = validText(string(value))
		}
	}
	return item, nil
}

// validText replaces invalid UTF-8, because a database with the encoding SQL_ASCII returns bytes as they were stored.
func validText(s string) string {
	return strings.ToValidUTF8(s, "\uFFFD")
}

// repeatableRead has the options of a read-only transaction whose statements all see the snapshot of the first one.
var repeatableRead = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// fullRead passes the whole table to the sink, with the snapshot of the read as the cursor. The next round then reads
// exactly the outbox rows that are not visible in the snapshot.
func (c *session) fullRead(ctx context.Context, reason string) error {
	c.logFullRead(reason)
	// This query is run before the snapshot is taken, because the catalog is always read in its current state, even by
	// a transaction whose snapshot shows older rows. A partition that is attached in between is then missing in the
	// digest, so that it causes another full read.
	var shape string
	err := c.inTransaction(ctx, func() (err error) {
		shape, err = c.schemaDigest(ctx)
		return err
	})
	if err != nil {
		return err
	}
	tx, err := beginRead(ctx, c.conn)
	if err != nil {
		return err
	}
	// After any error the connection is closed, which also ends the transaction.
	if c.at.Compare { // remaining rows are read first, so that no intermediate change is missed
		for begun := true; begun; {
			begun = c.at.Upto != ""
			rows := 0
			if _, err := c.queryNew(ctx, &rows); err != nil {
				return err
			}
		}
	}
	next := c.at
	next.SchemaDigest, next.Compare, next.Upto, next.Seq, next.Top = shape, false, "", 0, rowID{}
	if next.Last, err = c.lastRow(ctx, tx); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&next.Snapshot); err != nil {
		return err
	}
	truncated, err := c.wasTruncated(ctx, reason)
	if err != nil {
		return err
	}
	count, err := c.replace(ctx, tx, next.String(), truncated)
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	c.at, c.lastRead = next, next.Last.XID
	c.Stored(watch.Receipt{Taken: max(1, count)})
	return nil
}

// lastRow returns the row of the outbox with the greatest transaction id.
func (c *session) lastRow(ctx context.Context, tx pgx.Tx) (last rowID, err error) {
	var xid string
	err = tx.QueryRow(ctx, "SELECT o.xid::text, o.seq FROM "+c.schema.outbox()+
		" AS o ORDER BY o.xid DESC, o.seq DESC LIMIT 1").Scan(&xid, &last.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return rowID{}, nil
	}
	if err == nil {
		last.XID, err = parseXID(xid)
	}
	return last, err
}

// firstRead is the reason for the first full read, which needs no warning.
const firstRead = "nothing was read yet"

// logFullRead reports why the whole table is read: as a warning, unless it is the first read.
func (s *Source) logFullRead(reason string) {
	if reason == firstRead {
		s.Log.Info("reading the whole table", "reason", reason)
		return
	}
	s.Log.Warn("reading the whole table again", "reason", reason)
	s.Notice(fmt.Sprintf("the whole table was read again at %s: %s", time.Now().Format("2006-01-02 15:04 MST"), reason))
}

// replace passes the table, as tx sees it, to the sink and returns the number of rows. truncated means that a TRUNCATE
// is known to have removed rows, so that any number of items may be missing.
func (s *Source) replace(ctx context.Context, tx pgx.Tx, cursor string, truncated bool) (count int, err error) {
	if s.otherSpelling {
		if err := s.respellKeys(ctx, tx); err != nil {
			return 0, err
		}
	}
	var failed error // an error of reading, not of the sink
	items := func(yield func(watch.Item, error) bool) {
		for item, err := range s.schema.rows(ctx, tx) {
			failed = err
			count++
			if !yield(item, err) {
				return
			}
		}
	}
	read := watch.FullRead{Items: items, Cursor: cursor, MaxGone: s.cfg.shrinkGuard()}
	if truncated {
		read.MaxGone = 1
	}
	if err := s.sink.Replace(ctx, s.Name(), read); err != nil && failed == nil {
		return count, s.shrunk(&sinkError{"store the table", err})
	}
	s.otherSpelling = s.otherSpelling && failed != nil
	return count, failed
}

// tableTruncated is the reason for a full read after a TRUNCATE.
const tableTruncated = "the table was truncated"

// wasTruncated reports whether the outbox has a TRUNCATE after the last row that was read.
func (c *session) wasTruncated(ctx context.Context, reason string) (yes bool, err error) {
	if reason == tableTruncated {
		return true, nil
	}
	err = c.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+c.schema.outbox()+
		" WHERE op = 'truncate' AND xid > $1::text::xid8)",
		strconv.FormatUint(c.lastRead, 10)).Scan(&yes)
	return yes, err
}

// shrunk turns a *watch.ShrinkError, with which the sink refuses a full read, into a Fault. It returns any other error
// unchanged.
func (s *Source) shrunk(err error) error {
	var shrunk *watch.ShrinkError
	if !errors.As(err, &shrunk) {
		return err
	}
	return &watch.Fault{
		Key: "shrink_guard", Permanent: true, Err: err,
		Cause: fmt.Sprintf("%d of %d items are missing in table %s, more than shrink_guard (%s) allows: nothing was deleted",
			shrunk.Gone, shrunk.Known, strings.Join(s.schema.ident, "."), unit.Percent(s.cfg.shrinkGuard())),
		Cure: fmt.Sprintf("if they were deleted on purpose, run retraind label accept %s; if they are hidden or being reloaded, wait: retraind reads the table again every minute",
			s.model),
	}
}
