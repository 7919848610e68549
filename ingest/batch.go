package ingest

import (
	"time"

	"github.com/retraind/retraind/store"
)

// entry is an item that a transaction has read or will write.
type entry struct {
	store.Item
	known bool // the item exists, with the changes of this batch applied
	there bool // the store has a row for it
	dirty bool // the row must be written
	seen  bool // only its full-read number must be written
}

// batch holds the items and changes that a transaction has read or will write, so that they are read and written in
// bulk. Without batches, a first read took three times as long (5,700 instead of 17,000 rows a second).
type batch struct {
	t     *store.Tx
	model string

	items   map[string]*entry
	work    []*entry // the entries to be written, in the order of their first change
	changes []store.Change
	next    int64           // the number of the next change; 0 before the first one
	keys    map[string]bool // whether a change with this key is stored; only for keys that were looked up
}

// A batch is flushed at this many changes or, in a full read, at this many bytes of text.
const (
	batchItems = 512
	batchBytes = 1 << 20
)

func newBatch(t *store.Tx, model string) *batch {
	return &batch{t: t, model: model, items: map[string]*entry{}, keys: map[string]bool{}}
}

// fetch reads items into the batch.
func (b *batch) fetch(ids []string) error {
	found, err := b.t.States(b.model, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if b.items[id] == nil {
			it, ok := found[id]
			it.ID = id
			b.items[id] = &entry{Item: it, known: ok, there: ok}
		}
	}
	return nil
}

// look looks up which change keys of a source are already stored.
func (b *batch) look(source string, keys []string) error {
	b.fresh(source, keys)
	return b.t.Recorded(b.model, source, keys, func(key string) { b.keys[name(source, key)] = true })
}

// fresh records, without a query, that no change with these keys is stored.
func (b *batch) fresh(source string, keys []string) {
	for _, key := range keys {
		b.keys[name(source, key)] = false
	}
}

func name(source, key string) string { return source + "\x00" + key }

// item returns the current state of an item.
func (b *batch) item(id string) (it store.Item, known bool, err error) {
	if b.items[id] == nil {
		if err := b.fetch([]string{id}); err != nil {
			return it, false, err
		}
	}
	x := b.items[id]
	return x.Item, x.known, nil
}

// put sets the state of an item; if the new state has no text, the stored text is kept.
func (b *batch) put(it store.Item) {
	x := b.items[it.ID]
	x.Item, x.known = it, true
	b.write(x)
}

// remove deletes an item.
func (b *batch) remove(id string) {
	x := b.items[id]
	x.Item, x.known = store.Item{ID: id}, false
	b.write(x)
}

// touch marks an unchanged item as seen by a full read.
func (b *batch) touch(id string, sweep int64) {
	x := b.items[id]
	if x.Sweep == sweep {
		return
	}
	x.Sweep = sweep
	if !x.dirty && !x.seen {
		x.seen = true
		b.work = append(b.work, x)
	}
}

func (b *batch) write(x *entry) {
	if !x.dirty && !x.seen {
		b.work = append(b.work, x)
	}
	x.dirty = true
}

// record adds a change and returns its number, or 0 if the change is already stored.
func (b *batch) record(c store.Change) (int64, error) {
	id := name(c.Source, c.Key)
	if _, looked := b.keys[id]; !looked {
		if err := b.look(c.Source, []string{c.Key}); err != nil {
			return 0, err
		}
	}
	if b.keys[id] {
		return 0, nil
	}
	if b.next == 0 {
		n, err := b.t.NextChange()
		if err != nil {
			return 0, err
		}
		b.next = n
	}
	b.keys[id] = true
	c.N = b.next
	b.next++
	b.changes = append(b.changes, c)
	return c.N, nil
}

// flush writes the batch to the store and empties it.
func (b *batch) flush(now time.Time) error {
	var items []store.Item
	seen := map[int64][]string{}
	for _, x := range b.work {
		switch {
		case x.dirty && x.known:
			items = append(items, x.Item)
		case x.dirty && x.there:
			if err := b.t.DeleteItem(b.model, x.ID); err != nil {
				return err
			}
		case x.seen && !x.dirty:
			seen[x.Sweep] = append(seen[x.Sweep], x.ID)
		}
	}
	for sweep, ids := range seen {
		if err := b.t.TouchItems(b.model, ids, sweep); err != nil {
			return err
		}
	}
	if err := b.t.PutItems(b.model, items...); err != nil {
		return err
	}
	if err := b.t.AddChanges(b.model, b.changes, now); err != nil {
		return err
	}
	clear(b.items)
	clear(b.keys)
	b.work, b.changes = b.work[:0], b.changes[:0]
	return nil
}
