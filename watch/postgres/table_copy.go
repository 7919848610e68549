package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/watch"
)

// copyPlan is how a table is read as a whole: by a binary COPY, whose rows are decoded as they come. The server then does
// little more than hand out what it stores, which is several times as fast as a query whose columns are all text.
type copyPlan struct {
	query    string
	decode   func([]byte) (string, error) // the key
	verbatim []bool                       // of each target: whether it comes as it is; the others come as JSON
}

// copyOf plans the reading of the table, whose columns have these types.
func (s *schema) copyOf(types map[string]string) copyPlan {
	c := copyPlan{decode: asString}
	key := s.key("r")
	if len(s.cfg.ID) == 1 {
		column := "r." + ident(s.cfg.ID[0])
		switch types[s.cfg.ID[0]] {
		case "smallint", "integer", "bigint":
			c.decode, key = asInteger, column
		case "uuid":
			c.decode, key = asUUID, column
		}
	}
	at := "NULL::timestamptz"
	if s.cfg.UpdatedAt != "" {
		at = "r." + ident(s.cfg.UpdatedAt) + "::timestamptz"
	}
	columns := []string{key, at}
	for _, t := range s.targets {
		plainly := columnName.MatchString(t.source) && verbatim(types[t.source], false)
		if c.verbatim = append(c.verbatim, plainly); plainly {
			columns = append(columns, "r."+ident(t.source))
		} else {
			columns = append(columns, ownLabel(t))
		}
	}
	for _, column := range s.cfg.Text {
		columns = append(columns, "r."+ident(column)+"::text")
	}
	c.query = fmt.Sprintf("COPY (SELECT %s FROM %s AS r) TO STDOUT (FORMAT binary)", strings.Join(columns, ", "), s.table)
	return c
}

// rows streams the table through tx, one row in memory at a time. Its reader may stop early, which costs the
// connection, since the server would send the rest otherwise.
func (s *schema) rows(ctx context.Context, tx pgx.Tx) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		types, err := s.columnTypes(ctx, tx)
		if err != nil {
			yield(watch.Item{}, err)
			return
		}
		c := s.copyOf(types)
		into := &rowReader{schema: s, copyPlan: c, yield: yield, fields: make([][]byte, 2+len(s.targets)+len(s.cfg.Text)), interned: map[string]string{}, shared: map[string]watch.Labels{}}
		_, err = tx.Conn().PgConn().CopyTo(ctx, into, c.query)
		switch {
		case into.stopped:
		case err != nil:
			yield(watch.Item{}, err)
		case !into.ended:
			yield(watch.Item{}, errors.New("the server ended its copy of the table early"))
		}
	}
}

// columnTypes returns the columns of the table by name.
func (s *schema) columnTypes(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	rows, err := tx.Query(ctx, `SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped`, s.table)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	var name, sqlType string
	_, err = pgx.ForEachRow(rows, []any{&name, &sqlType}, func() error {
		types[name] = sqlType
		return nil
	})
	return types, err
}

// errStopped ends a copy whose reader wants no more.
var errStopped = errors.New("the reader has stopped")

// rowReader is the end of a copy. Rows may be cut anywhere, though servers send one at a time.
type rowReader struct {
	*schema
	copyPlan
	yield          func(watch.Item, error) bool
	rest           []byte // of a row that has not come whole
	fields         [][]byte
	interned       map[string]string       // labels: few texts come again and again
	shared         map[string]watch.Labels // those of rows with one target, likewise
	begun          bool
	ended, stopped bool
}

// Write implements io.Writer.
func (r *rowReader) Write(p []byte) (int, error) {
	data := p
	if len(r.rest) > 0 {
		r.rest = append(r.rest, p...)
		data = r.rest
	}
	for !r.ended {
		n, err := r.next(data)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		data = data[n:]
	}
	r.rest = append(r.rest[:0], data...)
	return len(p), nil
}

// copyHead is the signature that each binary copy begins with; flags and the length of an extension follow.
const copyHead = "PGCOPY\n\xff\r\n\x00"

// next takes one row, or the head, and returns how many bytes that was; 0 when there is no whole one.
func (r *rowReader) next(data []byte) (int, error) {
	if !r.begun {
		if len(data) < len(copyHead)+8 {
			return 0, nil
		}
		n := len(copyHead) + 8 + int(binary.BigEndian.Uint32(data[len(copyHead)+4:]))
		if string(data[:len(copyHead)]) != copyHead || n > len(data) {
			return 0, errors.New("this is no binary copy")
		}
		r.begun = true
		return n, nil
	}
	if len(data) < 2 {
		return 0, nil
	}
	switch count := int16(binary.BigEndian.Uint16(data)); {
	case count == -1:
		r.ended = true
		return 2, nil
	case int(count) != len(r.fields):
		return 0, fmt.Errorf("a row of %d columns where %d were asked for", count, len(r.fields))
	}
	n := 2
	for i := range r.fields {
		if len(data) < n+4 {
			return 0, nil
		}
		size := int(int32(binary.BigEndian.Uint32(data[n:])))
		n += 4
		if size < 0 {
			r.fields[i] = nil
			continue
		}
		if len(data) < n+size {
			return 0, nil
		}
		r.fields[i] = data[n : n+size : n+size]
		n += size
	}
	item, err := r.item()
	if err == nil && item.ID != "" && !r.yield(item, nil) {
		r.stopped, err = true, errStopped
	}
	return n, err
}

// item copies the fields out of the connection's buffer.
func (r *rowReader) item() (watch.Item, error) {
	key, err := r.decode(r.fields[0])
	if err != nil {
		return watch.Item{}, fmt.Errorf("key %x: %w", r.fields[0], err)
	}
	item := watch.Item{ID: key, Text: make(map[string]string, len(r.cfg.Text))}
	if raw := r.fields[1]; len(raw) == 8 {
		if micros := int64(binary.BigEndian.Uint64(raw)); micros != math.MaxInt64 && micros != math.MinInt64 { // infinities
			item.At = time.UnixMicro(micros + epoch).UTC()
		}
	}
	if item.Labels, err = r.labels(); err != nil {
		return watch.Item{}, fmt.Errorf("row %s: %w", item.ID, err)
	}
	for i, column := range r.cfg.Text {
		if raw := r.fields[2+len(r.targets)+i]; raw != nil {
			item.Text[column] = validText(string(raw))
		}
	}
	return item, nil
}

// labels takes those of a row. Rows with the same label of one target share them.
func (r *rowReader) labels() (watch.Labels, error) {
	one := r.fields[2]
	share := len(r.targets) == 1 && r.verbatim[0] && one != nil
	if known, ok := r.shared[string(one)]; share && ok {
		return known, nil
	}
	labels := make(watch.Labels, len(r.targets))
	for i, t := range r.targets {
		raw := r.fields[2+i]
		if raw == nil {
			continue
		}
		if r.verbatim[i] {
			labels[t.name] = r.intern(raw)
			continue
		}
		label, present, err := canonical(raw)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", t.name, err)
		}
		if present {
			labels[t.name] = label
		}
	}
	if share && len(r.shared) < mostInterned && len(one) < longInterned {
		r.shared[string(one)] = labels
	}
	return labels, nil
}

// epoch is PostgreSQL's, 2000-01-01, in microseconds.
const epoch = 946_684_800_000_000

// Labels that are kept: how many, and how long they may be.
const (
	mostInterned = 1000
	longInterned = 100
)

// intern keeps one copy of each label that occurs often.
func (r *rowReader) intern(raw []byte) string {
	if known, ok := r.interned[string(raw)]; ok {
		return known
	}
	label := validText(string(raw))
	if len(r.interned) < mostInterned && len(raw) < longInterned {
		r.interned[string(raw)] = label
	}
	return label
}

// asString takes a key that the server has made text; of none it is "".
func asString(raw []byte) (string, error) { return validText(string(raw)), nil }

func asInteger(raw []byte) (string, error) {
	switch len(raw) {
	case 0:
		return "", nil
	case 2:
		return strconv.Itoa(int(int16(binary.BigEndian.Uint16(raw)))), nil
	case 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(raw)))), nil
	case 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(raw)), 10), nil
	}
	return "", fmt.Errorf("an integer of %d bytes", len(raw))
}

func asUUID(raw []byte) (string, error) {
	switch len(raw) {
	case 0:
		return "", nil
	case 16:
		return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]), nil
	}
	return "", fmt.Errorf("a UUID of %d bytes", len(raw))
}
