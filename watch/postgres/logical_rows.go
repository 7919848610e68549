package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
)

// cell is one column of a row in the log. A value is unknown if it was not changed and is stored out of line (TOAST),
// if the log lacks the column, for example because it is generated, or if an old row has only its replica identity.
type cell struct {
	text  *string
	known bool
}

// rowChange is one row change in the log.
type rowChange struct {
	commit         lsn
	xid            uint32 // low 32 bits of the transaction's id
	ordinal        int
	at             time.Time
	author, origin string
	insert         bool
	old, fresh     []cell // one for each of the relation's names; nil if the log has no such tuple
}

func (i *rowChange) size() int {
	n := 128
	for _, cells := range [][]cell{i.old, i.fresh} {
		for _, c := range cells {
			if n += 32; c.text != nil {
				n += len(*c.text)
			}
		}
	}
	return n
}

// relation is the table's description in the log.
type relation struct {
	id     uint32
	names  []string // the log's columns, then needed columns that the log lacks
	types  []uint32 // of the log's columns
	within []bool   // which of the log's columns are in the replica identity
	sent   []int    // columns that are sent to the server to compute key, labels and some of the text
	labels []int    // columns that labels are computed from
	keys   []int
	text   []int // text columns, in the configuration's order
	exact  []bool
	author int // the author's column, or -1
	query  string
	direct bool // key, labels and text are in the log in final form: no query is needed
}

// newRelation plans how rows are read. In general the server computes keys and labels from the logged values, so that
// all types and expressions work. Values are used directly if the server would return the same text.
func newRelation(d *logReader, m *pglogrepl.RelationMessage) *relation {
	r := &relation{id: m.RelationID, author: -1}
	for _, c := range m.Columns {
		r.names, r.types, r.within = append(r.names, c.Name), append(r.types, c.DataType), append(r.within, c.Flags&1 != 0)
	}
	var needed []string
	expressions := ""
	for _, t := range d.cfg.targets() {
		if columnName.MatchString(t.source) {
			needed = append(needed, t.source)
		} else {
			expressions += " " + strings.ToLower(t.source)
		}
	}
	for _, name := range slices.Concat(needed, d.cfg.ID, d.cfg.Text) {
		if !slices.Contains(r.names, name) {
			r.names = append(r.names, name)
		}
	}
	for _, name := range d.cfg.Text {
		r.text = append(r.text, slices.Index(r.names, name))
		r.exact = append(r.exact, d.columns[name] == "text" || strings.HasPrefix(d.columns[name], "character varying"))
	}
	for i, name := range r.names {
		// Expressions are not parsed: they get every column that they might read.
		label := slices.Contains(needed, name) || strings.Contains(expressions, strings.ToLower(name))
		key := slices.Contains(d.cfg.ID, name)
		text := slices.Index(r.text, i)
		if label {
			r.labels = append(r.labels, i)
		}
		if key {
			r.keys = append(r.keys, i)
		}
		if _, exists := d.columns[name]; exists && (label || key || text >= 0 && !r.exact[text]) {
			r.sent = append(r.sent, i)
		}
	}
	if d.cfg.Author != "" {
		r.author = slices.Index(r.names, d.cfg.Author)
	}
	r.query = r.evaluate(d)
	r.direct = len(r.keys) == 1 && len(needed) == len(d.schema.targets) && !slices.Contains(r.exact, false)
	for _, i := range slices.Concat(r.keys, r.labels) {
		r.direct = r.direct && verbatim(d.columns[r.names[i]], !slices.Contains(r.labels, i))
	}
	return r
}

// verbatim reports whether the log writes values of a type exactly as they are written as a key, or as the text of a
// label.
func verbatim(sqlType string, key bool) bool {
	switch {
	case sqlType == "text" || strings.HasPrefix(sqlType, "character varying"):
		return !strings.HasSuffix(sqlType, "[]")
	case sqlType == "integer" || sqlType == "bigint" || sqlType == "smallint" || sqlType == "uuid":
		return key
	}
	return false
}

// evaluate returns the SQL that computes the keys and labels of rows, and those text columns whose type is not text.
// The rows are passed as one text array for each sent column.
func (r *relation) evaluate(d *logReader) string {
	inner := make([]string, 0, len(r.sent)+2)
	arrays, names := make([]string, 0, len(r.sent)+1), make([]string, 0, len(r.sent)+1)
	for k, i := range r.sent {
		arrays, names = append(arrays, fmt.Sprintf("$%d::text[]", k+2)), append(names, fmt.Sprintf("c%d", k))
		inner = append(inner, fmt.Sprintf("u.c%d::%s AS %s", k, d.columns[r.names[i]], ident(r.names[i])))
	}
	outer := []string{d.schema.key("r"), "CASE WHEN retraind_whole THEN " + d.schema.ownLabels() + "::text END"}
	for k, i := range r.text {
		if !r.exact[k] {
			outer = append(outer, "r."+ident(r.names[i])+"::text")
		}
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT u.w AS retraind_whole, u.n AS retraind_n, %s FROM unnest($1::bool[], %s) WITH ORDINALITY AS u(w, %s, n)) AS r ORDER BY retraind_n",
		strings.Join(outer, ", "), strings.Join(inner, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "))
}

func (r *relation) same(o *relation) bool {
	return r.id == o.id && slices.Equal(r.names, o.names) && slices.Equal(r.types, o.types)
}

// cells copies a tuple; nil stays nil. If `whole` is false (an old tuple), only the columns of the replica identity are
// known.
func (r *relation) cells(t *pglogrepl.TupleData, whole bool) []cell {
	if t == nil {
		return nil
	}
	out := make([]cell, len(r.names))
	for i, c := range t.Columns {
		switch {
		case i >= len(r.within) || c.DataType == pglogrepl.TupleDataTypeToast || !whole && !r.within[i]:
		case c.DataType == pglogrepl.TupleDataTypeNull:
			out[i].known = true
		default:
			text := string(c.Data)
			out[i] = cell{&text, true}
		}
	}
	return out
}

// known reports whether the log has the values of all the columns.
func known(cells []cell, columns []int) bool {
	return !slices.ContainsFunc(columns, func(i int) bool { return !cells[i].known })
}
