package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Cursor returns a source's position, "" before its first read.
func (t *Tx) Cursor(model, source string) (string, error) {
	var p string
	err := t.tx.QueryRowContext(t.ctx, `select position from cursors where model = ? and source = ?`, model, source).Scan(&p)
	if errors.Is(noRows(err), ErrNotFound) {
		return "", nil
	}
	return p, err
}

// SetCursor moves a source's position.
func (t *Tx) SetCursor(model, source, position string) error {
	return t.exec(`insert into cursors (model, source, position) values (?, ?, ?)
		on conflict (model, source) do update set position = excluded.position`, model, source, position)
}

// Item is one labelled item as last seen. Text is kept for held-out items, and for those that no table keeps.
type Item struct {
	ID       string
	Heldout  bool
	Group    string
	TextHash string
	Born     int64 // the change that brought its text
	Text     map[string]string
	Labels   map[string]string
	Base     map[string]string // what the table says, where an event has said otherwise since; else nil
	Source   string            // the event source that brought it; "" is the table
	Seq      int64             // its last change
	Touched  int64             // its last change by others than retraind, 0 if there was none
	At       time.Time
}

// Item returns one item, ErrNotFound if it was never seen or is gone.
func (t *Tx) Item(model, id string) (Item, error) {
	it, err := scanItem(t.tx.QueryRowContext(t.ctx, `select `+itemColumns+` from items where model = ? and id = ?`, model, id).Scan)
	it.ID = id
	return it, noRows(err)
}

const itemColumns = `id, heldout, grp, text_hash, born, text, labels, base, source, seq, touched, at`

func scanItem(scan func(...any) error) (it Item, err error) {
	var text, labels, base, at string
	if err := scan(&it.ID, &it.Heldout, &it.Group, &it.TextHash, &it.Born, &text, &labels, &base, &it.Source, &it.Seq, &it.Touched, &at); err != nil {
		return it, err
	}
	it.At = unstamp(at)
	if base != "null" {
		if err := json.Unmarshal([]byte(base), &it.Base); err != nil {
			return it, err
		}
	}
	return it, decode2(text, &it.Text, labels, &it.Labels)
}

// PutItem stores an item; sweep marks it as seen by the full read of that number.
func (t *Tx) PutItem(model string, it Item, sweep int64) error {
	text := "null"
	if it.Heldout || it.Source != "" {
		text = encode(it.Text)
	}
	return t.exec(`insert into items (model, id, heldout, grp, text_hash, born, text, labels, base, source, seq, touched, at, sweep) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (model, id) do update set heldout = excluded.heldout, grp = excluded.grp, text_hash = excluded.text_hash, born = excluded.born,
		text = excluded.text, labels = excluded.labels, base = excluded.base, source = excluded.source, seq = excluded.seq, touched = excluded.touched, at = excluded.at, sweep = excluded.sweep`,
		model, it.ID, it.Heldout, it.Group, it.TextHash, it.Born, text, encode(it.Labels), encode(it.Base), it.Source, it.Seq, it.Touched, stamp(it.At), sweep)
}

// TouchItem marks an unchanged item as seen by a full read.
func (t *Tx) TouchItem(model, id string, sweep int64) error {
	return t.exec(`update items set sweep = ? where model = ? and id = ?`, sweep, model, id)
}

// DeleteItem forgets an item.
func (t *Tx) DeleteItem(model, id string) error {
	return t.exec(`delete from items where model = ? and id = ?`, model, id)
}

// Unswept lists the ids of the table's items that the full read of that number has not seen.
func (t *Tx) Unswept(model string, sweep int64) ([]string, error) {
	var ids []string
	err := t.each(`select id from items where model = ? and sweep <> ? and source = ''`, []any{model, sweep}, func(scan func(...any) error) error {
		var id string
		if err := scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

// LastSweep is the number of the model's newest full read, 0 before the first.
func (t *Tx) LastSweep(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `select sweep from models where model = ?`, model).Scan(&n)
	if errors.Is(noRows(err), ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// NextSweep numbers a full read. The numbers name changes for ever, so they go on counting when all items are gone.
func (t *Tx) NextSweep(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `insert into models (model, sweep) values (?, 1) on conflict (model) do update set sweep = sweep + 1 returning sweep`, model).Scan(&n)
	return n, err
}

// HeldOut yields the held-out items, by id.
func (t *Tx) HeldOut(model string) iter.Seq2[Item, error] { return t.items(model, "and heldout = 1") }

// HeldOutKeys calls f for each held-out item with its id and group, in no order.
func (t *Tx) HeldOutKeys(model string, f func(id, group string)) error {
	return t.each(`select id, grp from items where model = ? and heldout = 1`, []any{model}, func(scan func(...any) error) error {
		var id, group string
		err := scan(&id, &group)
		if err == nil {
			f(id, group)
		}
		return err
	})
}

// Items yields all items, by id.
func (t *Tx) Items(model string) iter.Seq2[Item, error] { return t.items(model, "") }

// Brought yields the items that events brought, by id.
func (t *Tx) Brought(model string) iter.Seq2[Item, error] {
	return t.few(model, "source <> ''")
}

// Relabelled yields the table's items whose label events have changed, by id.
func (t *Tx) Relabelled(model string) iter.Seq2[Item, error] {
	return t.few(model, "base <> 'null'")
}

// few yields the items of which a partial index knows. Asked for in the order of ids alone, all would be read.
func (t *Tx) few(model, where string) iter.Seq2[Item, error] {
	return t.items(model, "and id in (select id from items where model = ?1 and "+where+")")
}

func (t *Tx) items(model, where string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		stop := fmt.Errorf("stop")
		err := t.each(`select `+itemColumns+` from items where model = ?1 `+where+` order by id`, []any{model}, func(scan func(...any) error) error {
			it, err := scanItem(scan)
			if err != nil {
				return err
			}
			if !yield(it, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(Item{}, err)
		}
	}
}

// Change is one stored label change.
type Change struct {
	N        int64 // order of storage; 0 before it is stored
	Source   string
	Key      string
	Op       string
	Item     string
	Heldout  bool
	Group    string
	TextHash string
	Old, New map[string]string
	At       time.Time
	Author   string
	Origin   string
}

// AddChange stores a change once and returns its number, 0 when it was stored before.
func (t *Tx) AddChange(model string, c Change, now time.Time) (int64, error) {
	res, err := t.tx.ExecContext(t.ctx, `insert into changes (model, source, key, op, item, heldout, grp, text_hash, old, new, at, author, origin, stored)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (model, source, key) do nothing`,
		model, c.Source, c.Key, c.Op, c.Item, c.Heldout, c.Group, c.TextHash, encode(c.Old), encode(c.New), stamp(c.At), c.Author, c.Origin, stamp(now))
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, err
	}
	return res.LastInsertId()
}

// Side says of an item whether it is held out, and whether it is known at all.
func (t *Tx) Side(model, id string) (heldout, known bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `select heldout from items where model = ? and id = ?`, model, id).Scan(&heldout)
	if errors.Is(noRows(err), ErrNotFound) {
		return false, false, nil
	}
	return heldout, err == nil, err
}

// Changes returns up to limit changes after n, in order.
func (t *Tx) Changes(model string, after int64, limit int) ([]Change, error) {
	var out []Change
	err := t.each(`select n, source, key, op, item, heldout, grp, text_hash, old, new, at, author, origin from changes
		where model = ? and n > ? order by n limit ?`, []any{model, after, limit}, func(scan func(...any) error) error {
		var c Change
		var old, new, at string
		if err := scan(&c.N, &c.Source, &c.Key, &c.Op, &c.Item, &c.Heldout, &c.Group, &c.TextHash, &old, &new, &at, &c.Author, &c.Origin); err != nil {
			return err
		}
		c.At = unstamp(at)
		out = append(out, c)
		last := &out[len(out)-1]
		return decode2(old, &last.Old, new, &last.New)
	})
	return out, err
}

// LastChange is the number of the model's newest change, 0 if there is none.
func (t *Tx) LastChange(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `select coalesce(max(n), 0) from changes where model = ?`, model).Scan(&n)
	return n, err
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error()) // only maps of strings and our own records come here
	}
	return string(b)
}

func decode2(a string, av any, b string, bv any) error {
	if err := json.Unmarshal([]byte(a), av); err != nil {
		return err
	}
	return json.Unmarshal([]byte(b), bv)
}
