package daemon

import (
	"time"

	"github.com/retraind/retraind/store"
)

// draft is an item in a transaction's work.
type draft struct {
	store.Item
	known bool // it exists
	there bool // the store has it
	dirty bool // it must be written
	seen  bool // only the full read's mark must be written
}

// drafts is what a transaction has read and will write: items and changes go to and from the store many at a time, which
// costs a fraction of one at a time.
type drafts struct {
	t     *store.Tx
	model string

	items   map[string]*draft
	work    []*draft // those to be written, in the order in which they came up
	changes []store.Change
	next    int64           // the number of the next change; 0 before it was asked for
	keys    map[string]bool // whether a change has this name in the store, of those that were looked for
}

// Changes are worked on before they are written: so many, of a full read until their texts have so many bytes.
const (
	draftsAtOnce = 512
	textsAtOnce  = 1 << 20
)

func newDrafts(t *store.Tx, model string) *drafts {
	return &drafts{t: t, model: model, items: map[string]*draft{}, keys: map[string]bool{}}
}

// fetch reads items before they are asked for.
func (d *drafts) fetch(ids []string) error {
	found, err := d.t.States(d.model, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if d.items[id] == nil {
			it, ok := found[id]
			it.ID = id
			d.items[id] = &draft{Item: it, known: ok, there: ok}
		}
	}
	return nil
}

// look finds out which changes of a source are stored already.
func (d *drafts) look(source string, keys []string) error {
	d.fresh(source, keys)
	return d.t.Recorded(d.model, source, keys, func(key string) { d.keys[name(source, key)] = true })
}

// fresh says that no change of these names is stored.
func (d *drafts) fresh(source string, keys []string) {
	for _, key := range keys {
		d.keys[name(source, key)] = false
	}
}

func name(source, key string) string { return source + "\x00" + key }

// item is an item as it was last seen or put.
func (d *drafts) item(id string) (it store.Item, known bool, err error) {
	if d.items[id] == nil {
		if err := d.fetch([]string{id}); err != nil {
			return it, false, err
		}
	}
	x := d.items[id]
	return x.Item, x.known, nil
}

// put makes an item what it has become; without a text it keeps the one that the store has.
func (d *drafts) put(it store.Item) {
	x := d.items[it.ID]
	x.Item, x.known = it, true
	d.write(x)
}

// remove forgets an item.
func (d *drafts) remove(id string) {
	x := d.items[id]
	x.Item, x.known = store.Item{ID: id}, false
	d.write(x)
}

// touch marks an unchanged item as seen by a full read.
func (d *drafts) touch(id string, sweep int64) {
	x := d.items[id]
	if x.Sweep == sweep {
		return
	}
	x.Sweep = sweep
	if !x.dirty && !x.seen {
		x.seen = true
		d.work = append(d.work, x)
	}
}

func (d *drafts) write(x *draft) {
	if !x.dirty && !x.seen {
		d.work = append(d.work, x)
	}
	x.dirty = true
}

// record numbers a change; 0 is one that is stored already.
func (d *drafts) record(c store.Change) (int64, error) {
	id := name(c.Source, c.Key)
	if _, looked := d.keys[id]; !looked {
		if err := d.look(c.Source, []string{c.Key}); err != nil {
			return 0, err
		}
	}
	if d.keys[id] {
		return 0, nil
	}
	if d.next == 0 {
		n, err := d.t.NextChange()
		if err != nil {
			return 0, err
		}
		d.next = n
	}
	d.keys[id] = true
	c.N = d.next
	d.next++
	d.changes = append(d.changes, c)
	return c.N, nil
}

// flush writes what there is to write, and forgets what it has read.
func (d *drafts) flush(now time.Time) error {
	var items []store.Item
	seen := map[int64][]string{}
	for _, x := range d.work {
		switch {
		case x.dirty && x.known:
			items = append(items, x.Item)
		case x.dirty && x.there:
			if err := d.t.DeleteItem(d.model, x.ID); err != nil {
				return err
			}
		case x.seen && !x.dirty:
			seen[x.Sweep] = append(seen[x.Sweep], x.ID)
		}
	}
	for sweep, ids := range seen {
		if err := d.t.TouchItems(d.model, ids, sweep); err != nil {
			return err
		}
	}
	if err := d.t.PutItems(d.model, items...); err != nil {
		return err
	}
	if err := d.t.AddChanges(d.model, d.changes, now); err != nil {
		return err
	}
	clear(d.items)
	clear(d.keys)
	d.work, d.changes = d.work[:0], d.changes[:0]
	return nil
}
