package drift

import "hash/maphash"

// index finds an item's slot by its id. A map of strings would keep a second header for each id and touch twice the
// memory on the way; the ids themselves lie in the entries. It is an open-addressed table with linear probing.
type index struct {
	seed  maphash.Seed
	cells []cell // a power of two, at most three quarters full
	n     int
}

// cell holds a slot and 32 bits of its id's hash, which also say where the cell would like to be.
type cell struct {
	hash uint32
	slot int32 // plus one; 0 is an empty cell
}

const leastCells = 16

func newIndex() index { return index{seed: maphash.MakeSeed(), cells: make([]cell, leastCells)} }

func (x *index) hash(id string) uint32 { return uint32(maphash.String(x.seed, id)) }

func (x *index) find(entries []entry, id string) (int32, bool) {
	h, mask := x.hash(id), uint32(len(x.cells)-1)
	for i := h & mask; x.cells[i].slot != 0; i = (i + 1) & mask {
		if c := x.cells[i]; c.hash == h && entries[c.slot-1].id == id {
			return c.slot - 1, true
		}
	}
	return 0, false
}

// add takes an id that is not in the index yet.
func (x *index) add(id string, slot int32) {
	if x.n++; x.n > len(x.cells)/4*3 {
		old := x.cells
		x.cells = make([]cell, 2*len(old))
		for _, c := range old {
			if c.slot != 0 {
				x.put(c)
			}
		}
	}
	x.put(cell{x.hash(id), slot + 1})
}

func (x *index) put(c cell) {
	mask := uint32(len(x.cells) - 1)
	i := c.hash & mask
	for x.cells[i].slot != 0 {
		i = (i + 1) & mask
	}
	x.cells[i] = c
}

// remove takes an id out; its entry must still be there. Cells behind it move up, so that no search ends too early.
func (x *index) remove(entries []entry, id string) {
	h, mask := x.hash(id), uint32(len(x.cells)-1)
	i := h & mask
	for ; ; i = (i + 1) & mask {
		c := x.cells[i]
		if c.slot == 0 {
			return
		}
		if c.hash == h && entries[c.slot-1].id == id {
			break
		}
	}
	x.n--
	for j := (i + 1) & mask; x.cells[j].slot != 0; j = (j + 1) & mask {
		if home := x.cells[j].hash & mask; (j-home)&mask >= (j-i)&mask { // it may stand at i
			x.cells[i] = x.cells[j]
			i = j
		}
	}
	x.cells[i] = cell{}
}
