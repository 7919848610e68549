package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// batchRows bounds, together with batchBytes, the memory of a round and the size of the sink's transactions.
const batchRows = 2000

// newRowsQuery returns the query for the rows that became visible since the last snapshot: the rows of transactions
// that were still running then or began later. The rows are ordered by seq. For one item that is the order in which
// its row was written, because seq is drawn while the row is locked. A snapshot that shows a write also shows the
// write before it, so the order is right across rounds too. Ordering by transaction id would be wrong: a transaction
// that waits for a row lock may have a lower id than the transaction that holds the lock. The item's present text is
// joined in the same snapshot. Only the first row contains the snapshot: a snapshot lists all running transactions, and
// with many writers it would be longer than the rows themselves.
func (c *session) newRowsQuery() string {
	var text []string
	for _, column := range c.cfg.Text {
		text = append(text, "t."+ident(column)+"::text")
	}
	rest := ""
	if c.at.Upto != "" {
		rest = " AND seq > $3::bigint AND pg_visible_in_snapshot(xid, $4::text::pg_snapshot)"
	}
	return fmt.Sprintf(`SELECT CASE WHEN o.n = 1 THEN pg_current_snapshot()::text END, o.xid::text, o.seq, o.op, coalesce(o.item, ''), o.old::text, o.new::text, %[6]s, %[7]s, o.at, t.*
FROM (
  SELECT row_number() OVER (ORDER BY seq) AS n, * FROM (
    SELECT * FROM %[5]s WHERE xid >= $1::text::xid8
    UNION ALL
    SELECT * FROM %[5]s WHERE xid = ANY ($2::text[]::xid8[])
  ) AS u WHERE true%[1]s ORDER BY seq
) AS o LEFT JOIN LATERAL (
  SELECT true AS present, %[2]s FROM %[3]s AS t WHERE (o.op = 'insert' OR o.text_changed) AND %[4]s LIMIT 1
) AS t ON true
ORDER BY o.seq`, rest, strings.Join(text, ", "), c.schema.table,
		c.byKey("t", "CASE WHEN o.op IN ('insert', 'update') THEN o.item END"), c.schema.outbox(), authorOfRow, originOfRow)
}

// byKey returns an SQL condition that is true if the key columns of a row equal a key given as text. It compares in the
// types of the columns, so that the index is used. In every row, the text must be a key or NULL, because on a
// partitioned table it is converted before other conditions are evaluated.
func (c *session) byKey(row, key string) string {
	if len(c.cfg.ID) == 1 {
		return fmt.Sprintf("%s.%s = %s::%s", row, ident(c.cfg.ID[0]), key, c.keyTypes[0])
	}
	parts := make([]string, len(c.cfg.ID))
	for i, column := range c.cfg.ID {
		parts[i] = fmt.Sprintf("%s.%s = (%s::jsonb ->> %d)::%s", row, ident(column), key, i, c.keyTypes[i])
	}
	return strings.Join(parts, " AND ")
}

// outboxRow is a row of the outbox with the item's present text.
type outboxRow struct {
	snapshot       *string // only in the round's first row
	xid            string
	seq            int64
	op, item       string
	old, new       *string
	author, origin string
	at             time.Time
	present        *bool // nil if the item was deleted, or its text was not queried
	text           []*string
}

// size returns the approximate size of the row in bytes.
func (l *outboxRow) size() int {
	n := len(l.item)
	for _, text := range append([]*string{l.old, l.new}, l.text...) {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}

// readNew reads the rows that became visible since the last round and returns their number.
func (c *session) readNew(ctx context.Context) (total int, err error) {
	again := ""
	err = c.inTransaction(ctx, func() error {
		again, err = c.queryNew(ctx, &total)
		return err
	})
	if err == nil && again != "" {
		err = c.fullRead(ctx, again)
	}
	return total, err
}

// queryNew queries the round's rows and stores them. If a full read is required, it returns the reason.
func (c *session) queryNew(ctx context.Context, total *int) (again string, err error) {
	from, running, err := c.at.unread()
	if err != nil {
		return "", err
	}
	args := []any{from, running}
	if c.at.Upto != "" {
		args = append(args, c.at.Seq, c.at.Upto)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := c.conn.Query(ctx, c.newRowsQuery(), args...)
	if err != nil {
		return "", err
	}
	again, err = c.storeRows(ctx, rows, total)
	if err != nil {
		cancel() // so that Close need not read the remaining rows
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	return again, err
}

// storeRows stores a round's rows in batches; the last batch moves the cursor to the end of the round. At a row that
// requires a full read, storeRows ends the round and returns the reason.
func (c *session) storeRows(ctx context.Context, rows pgx.Rows, total *int) (again string, err error) {
	next := c.at
	var batch []watch.Change
	var writers []string
	inBatch, bytes := 0, 0
	for rows.Next() {
		l := outboxRow{text: make([]*string, len(c.cfg.Text))}
		into := []any{&l.snapshot, &l.xid, &l.seq, &l.op, &l.item, &l.old, &l.new, &l.author, &l.origin, &l.at, &l.present}
		for i := range l.text {
			into = append(into, &l.text[i])
		}
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
		if next.Upto == "" && l.snapshot != nil {
			next.Upto = *l.snapshot
		}
		*total++
		switch l.op {
		case "truncate":
			return tableTruncated, c.store(ctx, batch, writers, next)
		case "reread":
			return l.item, c.store(ctx, batch, writers, next)
		}
		change, relevant, err := c.change(&l)
		if err != nil {
			return "", fmt.Errorf("outbox row %s:%d: %w", l.xid, l.seq, err)
		}
		if relevant {
			batch, writers = append(batch, change), append(writers, l.xid)
		}
		xid, err := parseXID(l.xid)
		if err != nil {
			return "", err
		}
		next.Seq, next.Top = l.seq, next.Top.later(rowID{xid, l.seq})
		bytes += l.size()
		if inBatch++; inBatch == batchRows || bytes >= batchBytes {
			if err := c.store(ctx, batch, writers, next); err != nil {
				return "", err
			}
			batch, writers, inBatch, bytes = nil, nil, 0, 0
		}
	}
	if err := rows.Err(); err != nil || next.Upto == "" {
		return "", err
	}
	next.Snapshot, next.Last, next.Upto, next.Seq, next.Top = next.Upto, next.Last.later(next.Top), "", 0, rowID{}
	return "", c.store(ctx, batch, writers, next)
}

// store stores changes in the sink, with the cursor after them.
func (c *session) store(ctx context.Context, changes []watch.Change, writers []string, next position) error {
	reorder(changes, writers)
	if err := c.sink.Append(ctx, c.Name(), changes, next.String()); err != nil {
		return &sinkError{"store label changes", err}
	}
	c.at = next
	if len(changes) > 0 {
		c.Stored(watch.Receipt{Taken: len(changes)})
	}
	return nil
}

// change turns a row into a Change; it returns false if the row describes no change. The insert of an item that was
// deleted later is left out: the item has no text any more, and the delete follows.
func (c *session) change(l *outboxRow) (watch.Change, bool, error) {
	old, err := c.schema.parseLabels(l.old)
	if err != nil {
		return watch.Change{}, false, err
	}
	now, err := c.schema.parseLabels(l.new)
	if err != nil {
		return watch.Change{}, false, err
	}
	change := watch.Change{
		Key: c.at.key(l.xid, l.seq), Item: validText(l.item), Old: old, New: now, At: l.at.UTC(),
		Author: validText(l.author), Origin: l.origin,
	}
	switch {
	case l.item == "":
		return watch.Change{}, false, nil // a row without a key cannot be followed
	case l.op == "delete":
		change.Op = watch.OpDelete
	case l.present != nil:
		change.Op, change.Text = watch.OpPut, make(map[string]string, len(l.text))
		for i, column := range c.cfg.Text {
			if l.text[i] != nil {
				change.Text[column] = validText(*l.text[i])
			}
		}
	case l.op == "insert" || same(old, now):
		return watch.Change{}, false, nil
	default:
		change.Op = watch.OpLabel
	}
	return change, true, nil
}
