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
	err := t.tx.QueryRowContext(t.ctx, `select position from cursors where model = ? and source = ?`, model,
		source).Scan(&p)
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

// Item is one labelled item in its last known state. Text is stored only for held-out items and for items that are in
// no table.
type Item struct {
	ID       string
	Heldout  bool
	Group    string
	TextHash string
	Born     int64 // number of the change that brought this text
	Text     map[string]string
	Labels   map[string]string
	Base     map[string]string // the table's own labels, if an event has overridden them; else nil
	Source   string            // the event source that created it; "" is the table
	Seq      int64             // number of its last change
	Touched  int64             // number of its last change by anyone but retraind, 0 if there is none
	At       time.Time
	Sweep    int64 // number of the newest full read when the item was last seen or changed
}

// OfTable reports whether the item is in the table; otherwise it came from an event source.
func (it Item) OfTable() bool { return it.Source == "" }

// Item returns one item, ErrNotFound if it does not exist (or no longer exists).
func (t *Tx) Item(model, id string) (Item, error) {
	it, err := scanItem(t.tx.QueryRowContext(t.ctx, `select `+itemColumns+` from items where model = ? and id = ?`, model,
		id).Scan)
	it.ID = id
	return it, noRows(err)
}

const itemColumns = `id, heldout, grp, text_hash, born, text, labels, base, source, seq, touched, at, sweep`

func scanItem(scan func(...any) error) (it Item, err error) {
	var text, labels, base, at string
	if err := scan(&it.ID, &it.Heldout, &it.Group, &it.TextHash, &it.Born, &text, &labels, &base, &it.Source, &it.Seq,
		&it.Touched, &at, &it.Sweep); err != nil {
		return it, err
	}
	it.At = unstamp(at)
	if it.Text, err = decodeMap(text); err != nil {
		return it, err
	}
	if it.Labels, err = decodeMap(labels); err != nil {
		return it, err
	}
	it.Base, err = decodeMap(base)
	return it, err
}

// States returns those of the given items that are known, keyed by id and without their texts.
func (t *Tx) States(model string, ids []string) (map[string]Item, error) {
	out := make(map[string]Item, len(ids))
	err := t.lookUp(`select id, heldout, grp, text_hash, born, 'null', labels, base, source, seq, touched, at, sweep from items where model = ? and id in `,
		[]any{model}, ids, func(scan func(...any) error) error {
			it, err := scanItem(scan)
			out[it.ID] = it
			return err
		})
	return out, err
}

// PutItems stores items. An item without a text keeps its stored text, unless it is one whose text is not stored (see
// Item).
func (t *Tx) PutItems(model string, items ...Item) error {
	args := make([]any, 0, 14*len(items))
	for i := range items {
		it, text := &items[i], "null"
		if it.Heldout || !it.OfTable() {
			text = encodeMap(it.Text)
		}
		args = append(args, model, it.ID, it.Heldout, it.Group, it.TextHash, it.Born, text, encodeMap(it.Labels),
			encodeMap(it.Base), it.Source, it.Seq, it.Touched, stamp(it.At), it.Sweep)
	}
	return t.insert(`insert into items (model, id, heldout, grp, text_hash, born, text, labels, base, source, seq, touched, at, sweep)`,
		14, `
		on conflict (model, id) do update set heldout = excluded.heldout, grp = excluded.grp, text_hash = excluded.text_hash, born = excluded.born,
		text = iif(excluded.text = 'null' and (excluded.heldout or excluded.source <> ''), text, excluded.text),
		labels = excluded.labels, base = excluded.base, source = excluded.source, seq = excluded.seq, touched = excluded.touched, at = excluded.at, sweep = excluded.sweep`,
		args)
}

// TouchItems marks unchanged items as seen by a full read.
func (t *Tx) TouchItems(model string, ids []string, sweep int64) error {
	return t.change(`update items set sweep = ? where model = ? and id in `, []any{sweep, model}, ids)
}

// DeleteItem deletes an item.
func (t *Tx) DeleteItem(model, id string) error {
	return t.exec(`delete from items where model = ? and id = ?`, model, id)
}

// Unswept lists the ids of the table's items that a full read has not seen. sweep is the number of the read.
func (t *Tx) Unswept(model string, sweep int64) ([]string, error) {
	var ids []string
	err := t.each(`select id from items where model = ? and sweep <> ? and source = ''`, []any{model, sweep},
		func(scan func(...any) error) error {
			var id string
			if err := scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		})
	return ids, err
}

// CountTable returns the number of items that are in the table.
func (t *Tx) CountTable(model string) (n int, err error) {
	err = t.tx.QueryRowContext(t.ctx, `select count(*) from items where model = ? and source = ''`, model).Scan(&n)
	return n, err
}

// LastSweep returns the number of the model's newest full read, 0 before the first.
func (t *Tx) LastSweep(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `select sweep from models where model = ?`, model).Scan(&n)
	if errors.Is(noRows(err), ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// NextSweep assigns a number to a full read. The numbers are part of permanent change keys, so they continue even
// if all items are deleted.
func (t *Tx) NextSweep(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx,
		`insert into models (model, sweep) values (?, 1) on conflict (model) do update set sweep = sweep + 1 returning sweep`,
		model).Scan(&n)
	return n, err
}

// HeldOut yields the held-out items, ordered by id.
func (t *Tx) HeldOut(model string) iter.Seq2[Item, error] { return t.items(model, "and heldout = 1") }

// HeldOutKeys calls f for each held-out item with its id and group, in no particular order.
func (t *Tx) HeldOutKeys(model string, f func(id, group string)) error {
	return t.each(`select id, grp from items where model = ? and heldout = 1`, []any{model},
		func(scan func(...any) error) error {
			var id, group string
			err := scan(&id, &group)
			if err == nil {
				f(id, group)
			}
			return err
		})
}

// Items yields all items, ordered by id.
func (t *Tx) Items(model string) iter.Seq2[Item, error] { return t.items(model, "") }

// Brought yields the items that came from events, ordered by id.
func (t *Tx) Brought(model string) iter.Seq2[Item, error] {
	return t.few(model, "source <> ''")
}

// Relabelled yields the table's items whose label was overridden by events, ordered by id.
func (t *Tx) Relabelled(model string) iter.Seq2[Item, error] {
	return t.few(model, "base <> 'null'")
}

// few yields the items that match the condition of a partial index. The subquery makes SQLite use that index; without
// it, SQLite would read all items in the order of their ids.
func (t *Tx) few(model, where string) iter.Seq2[Item, error] {
	return t.items(model, "and id in (select id from items where model = ?1 and "+where+")")
}

func (t *Tx) items(model, where string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		stop := fmt.Errorf("stop")
		err := t.each(`select `+itemColumns+` from items where model = ?1 `+where+` order by id`, []any{model},
			func(scan func(...any) error) error {
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
	N        int64 // number in the order of storage; 0 before it is stored
	Source   string
	Key      string
	Op       string // a watch.Op
	Item     string
	Heldout  bool
	Group    string
	TextHash string
	Old, New map[string]string
	At       time.Time
	Author   string
	Origin   string
}

// NextChange returns the number of the next change.
func (t *Tx) NextChange() (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx,
		`select coalesce(max(seq), 0) + 1 from sqlite_sequence where name = 'changes'`).Scan(&n)
	return n, err
}

// Recorded calls f with each of the keys for which a change of the source is stored.
func (t *Tx) Recorded(model, source string, keys []string, f func(key string)) error {
	return t.lookUp(`select key from changes where model = ? and source = ? and key in `, []any{model, source}, keys,
		func(scan func(...any) error) error {
			var key string
			err := scan(&key)
			f(key)
			return err
		})
}

// AddChanges stores changes. Their numbers must be consecutive, starting with that of NextChange, and none of their
// keys may be stored yet (see Recorded).
func (t *Tx) AddChanges(model string, changes []Change, now time.Time) error {
	args, stored := make([]any, 0, 15*len(changes)), stamp(now)
	for i := range changes {
		c := &changes[i]
		args = append(args, c.N, model, c.Source, c.Key, c.Op, c.Item, c.Heldout, c.Group, c.TextHash, encodeMap(c.Old),
			encodeMap(c.New), stamp(c.At), c.Author, c.Origin, stored)
	}
	return t.insert(`insert into changes (n, model, source, key, op, item, heldout, grp, text_hash, old, new, at, author, origin, stored)`,
		15, "", args)
}

// Side reports whether an item is held out, and whether it is known.
func (t *Tx) Side(model, id string) (heldout, known bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `select heldout from items where model = ? and id = ?`, model, id).Scan(&heldout)
	if errors.Is(noRows(err), ErrNotFound) {
		return false, false, nil
	}
	return heldout, err == nil, err
}

// Changes returns the changes that follow the given number, in order, at most limit of them.
func (t *Tx) Changes(model string, after int64, limit int) ([]Change, error) {
	var out []Change
	err := t.each(`select n, source, key, op, item, heldout, grp, text_hash, old, new, at, author, origin from changes
		where model = ? and n > ? order by n limit ?`, []any{model, after, limit}, func(scan func(...any) error) error {
		var c Change
		var old, new, at string
		if err := scan(&c.N, &c.Source, &c.Key, &c.Op, &c.Item, &c.Heldout, &c.Group, &c.TextHash, &old, &new, &at, &c.Author,
			&c.Origin); err != nil {
			return err
		}
		c.At = unstamp(at)
		var err error
		if c.Old, err = decodeMap(old); err != nil {
			return err
		}
		c.New, err = decodeMap(new)
		out = append(out, c)
		return err
	})
	return out, err
}

// LastChange returns the number of the model's newest change, 0 if there is none.
func (t *Tx) LastChange(model string) (int64, error) {
	var n int64
	err := t.tx.QueryRowContext(t.ctx, `select coalesce(max(n), 0) from changes where model = ?`, model).Scan(&n)
	return n, err
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error()) // only maps of strings and the package's own records are encoded
	}
	return string(b)
}
