package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/watch"
)

// rowValues contains the key, labels and texts of one tuple.
type rowValues struct {
	key    string
	labels watch.Labels      // nil if the log lacks some of the columns that labels are computed from
	text   map[string]string // nil if the log lacks some of the text columns
	part   bool              // the text may have changed, but the log lacks some of the text columns
}

// changes converts row changes in the log to changes of items, in order.
func (s *stream) changes(ctx context.Context, images []rowChange) ([]watch.Change, error) {
	if len(images) == 0 {
		return nil, nil
	}
	var writers []uint32
	for i := range images {
		if n := len(writers); images[i].xid != s.visibleXID && (n == 0 || writers[n-1] != images[i].xid) {
			writers = append(writers, images[i].xid)
		}
	}
	if len(writers) > 0 { // empty if all images are of a transaction that is known to be visible
		if err := s.waitUntilVisible(ctx, writers); err != nil {
			return nil, err
		}
		s.visibleXID = writers[len(writers)-1]
	}
	sides, err := s.rowValues(ctx, images, true)
	var server *pgconn.PgError
	if errors.As(err, &server) && (strings.HasPrefix(server.Code, "22") || strings.HasPrefix(server.Code, "42")) {
		// The logged values are from an older definition of the table, or an expression reads a column that the log
		// lacks.
		sides, err = s.rowValues(ctx, images, false)
	}
	if err != nil {
		return nil, err
	}
	table, err := s.reread(ctx, images, sides)
	if err != nil {
		return nil, err
	}
	out := make([]watch.Change, 0, len(images))
	for i := range images {
		out = s.change(out, &images[i], sides[2*i], sides[2*i+1], table)
	}
	return out, nil
}

// change converts one row change in the log and appends the result to out: no change, one, or two if the key changed.
func (s *stream) change(out []watch.Change, i *rowChange, old, fresh rowValues, table map[string]watch.Item) []watch.Change {
	c := watch.Change{Key: s.at.key(i.commit, i.ordinal), At: i.at, Author: i.author, Origin: i.origin}
	if i.fresh != nil && s.relation.author >= 0 && i.fresh[s.relation.author].text != nil && c.Author == "" {
		author, origin := authorOf([]byte(*i.fresh[s.relation.author].text))
		if c.Author = author; c.Origin == "" {
			c.Origin = origin
		}
	}
	if i.old != nil && old.key != "" && (i.fresh == nil || old.key != fresh.key) {
		gone := c
		gone.Op, gone.Item, gone.Old = watch.OpDelete, old.key, old.labels
		if i.fresh != nil {
			gone.Key += "-" // a changed key becomes a delete and an insert, which need different change keys
		}
		out = append(out, gone)
	}
	if i.fresh == nil || fresh.key == "" {
		return out
	}
	c.Item, c.New, c.Text, c.Op = fresh.key, fresh.labels, fresh.text, watch.OpPut
	if i.old != nil && old.key == fresh.key {
		c.Old = old.labels
	}
	now, present := table[fresh.key]
	if c.New == nil {
		if !present {
			return out // the row was deleted later: its delete follows in the log
		}
		c.New = now.Labels
	}
	if fresh.part {
		c.Text = nil
		if present {
			c.Text = now.Text
		}
	}
	if c.Text == nil {
		if c.Op = watch.OpLabel; i.insert {
			return out // the row was deleted later: its delete follows in the log
		}
	}
	if c.Old != nil && same(c.Old, c.New) && s.sameText(i) {
		return out
	}
	return append(out, c)
}

// sameText reports whether no text column has changed. A column whose new value is logged without the old one counts as
// changed; old values are logged only with REPLICA IDENTITY FULL.
func (s *stream) sameText(i *rowChange) bool {
	for _, k := range s.relation.text {
		a, b := i.old[k], i.fresh[k]
		if b.known && (!a.known || (a.text == nil) != (b.text == nil) || a.text != nil && *a.text != *b.text) {
			return false
		}
	}
	return true
}

// rowValues returns two elements for each row change, in order: its old and its new values. If values is false, it
// computes only the keys.
func (s *stream) rowValues(ctx context.Context, images []rowChange, values bool) ([]rowValues, error) {
	r := s.relation
	if r.direct {
		return s.verbatim(images), nil
	}
	whole := make([]bool, 0, 2*len(images))
	columns := make([][]*string, len(r.sent))
	var which []int // indexes into the result
	for i := range images {
		for k, cells := range [][]cell{images[i].old, images[i].fresh} {
			if cells == nil {
				continue
			}
			which = append(which, 2*i+k)
			whole = append(whole, values && known(cells, r.labels))
			for n, at := range r.sent {
				var v *string
				if values || slices.Contains(r.keys, at) {
					v = cells[at].text
				}
				columns[n] = append(columns[n], v)
			}
		}
	}
	args := []any{whole}
	for _, c := range columns {
		args = append(args, c)
	}
	rows, err := s.conn.Query(ctx, r.query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]rowValues, 2*len(images))
	for n := 0; rows.Next(); n++ {
		cells := images[which[n]/2].old
		if which[n]%2 == 1 {
			cells = images[which[n]/2].fresh
		}
		if out[which[n]], err = s.rowValue(rows.RawValues(), cells, whole[n], values); err != nil {
			return nil, fmt.Errorf("row of the log at %s: %w", images[which[n]/2].commit, err)
		}
	}
	return out, rows.Err()
}

// verbatim returns the same as rowValues, without a query. It is for a relation whose values are logged in final form
// (relation.direct).
func (s *stream) verbatim(images []rowChange) []rowValues {
	out := make([]rowValues, 2*len(images))
	for n := range images {
		for k, cells := range [][]cell{images[n].old, images[n].fresh} {
			if cells == nil {
				continue
			}
			found := &out[2*n+k]
			if text := cells[s.relation.keys[0]].text; text != nil {
				found.key = validText(*text)
			}
			if known(cells, s.relation.labels) {
				found.labels = make(watch.Labels, len(s.schema.targets))
				for _, t := range s.schema.targets {
					if text := cells[slices.Index(s.relation.names, t.source)].text; text != nil {
						found.labels[t.name] = validText(*text)
					}
				}
			}
			s.texts(found, cells, nil, true)
		}
	}
	return out
}

// rowValue decodes the row that the server returned for a tuple's values: the key, the labels, and those configured
// text columns whose type is not text.
func (s *stream) rowValue(raw [][]byte, cells []cell, whole, values bool) (rowValues, error) {
	out := rowValues{key: string(raw[0])}
	if whole {
		text := string(raw[1])
		var err error
		if out.labels, err = s.schema.parseLabels(&text); err != nil {
			return rowValues{}, err
		}
	}
	s.texts(&out, cells, raw[2:], values)
	return out, nil
}

// texts fills in the text columns. It takes a column of type text from the log, and any other column from the
// server's answer, in order.
func (s *stream) texts(out *rowValues, cells []cell, made [][]byte, values bool) {
	r := s.relation
	some, all := false, true
	text := make(map[string]string, len(r.text))
	for k, i := range r.text {
		switch {
		case !r.exact[k]:
			if made[0] != nil {
				text[s.cfg.Text[k]] = string(made[0])
			}
			made = made[1:]
		case cells[i].text != nil:
			text[s.cfg.Text[k]] = validText(*cells[i].text)
		}
		known := values && cells[i].known
		all = all && known
		// A column that the log lacks may still have changed.
		some = some || known || !values || i >= len(r.types)
	}
	if out.part = some && !all; all {
		out.text = text
	}
}

// reread reads the current rows from the table for those row changes whose log entry is incomplete.
func (s *stream) reread(ctx context.Context, images []rowChange, sides []rowValues) (map[string]watch.Item, error) {
	var keys []string
	for i := range images {
		if fresh := sides[2*i+1]; images[i].fresh != nil && fresh.key != "" && (fresh.labels == nil || fresh.part ||
			fresh.text == nil && images[i].insert) {
			keys = append(keys, fresh.key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	types := s.schema.keyTypes(s.columns)
	where := fmt.Sprintf("r.%s = ANY ($1::text[]::%s[])", ident(s.cfg.ID[0]), types[0])
	if len(s.cfg.ID) > 1 {
		columns, parts := make([]string, len(types)), make([]string, len(types))
		for i, t := range types {
			columns[i], parts[i] = "r."+ident(s.cfg.ID[i]), fmt.Sprintf("(k::jsonb ->> %d)::%s", i, t)
		}
		where = fmt.Sprintf("(%s) IN (SELECT %s FROM unnest($1::text[]) AS k)", strings.Join(columns, ", "),
			strings.Join(parts, ", "))
	}
	rows, err := s.conn.Query(ctx, s.schema.tableQuery()+" WHERE "+where, keys)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[string]watch.Item, len(keys))
	for rows.Next() {
		item, err := s.schema.item(rows.RawValues())
		if err != nil {
			return nil, err
		}
		out[item.ID] = item
	}
	return out, rows.Err()
}
