package strictyaml

import (
	"maps"
	"runtime"
	"sync"
)

// many is how many entries are worth decoding beside each other.
const many = 64

// share decodes n entries one after the other, or many in parts beside each other. Parts are not parted again, so that
// anchors cannot multiply their number.
func (d *decoder) share(n int, decode func(d *decoder, i int)) {
	if n < many || d.part {
		for i := range n {
			decode(d, i)
		}
		return
	}
	parts := make([]*decoder, min(runtime.GOMAXPROCS(0), n))
	var group sync.WaitGroup
	for k := range parts {
		part := newDecoder(d.root, len(d.doc.Source)/24/len(parts))
		part.part, part.visited = true, d.visited
		parts[k] = part
		group.Go(func() {
			for i := k * n / len(parts); i < (k+1)*n/len(parts); i++ {
				decode(part, i)
			}
		})
	}
	group.Wait()
	before := d.visited
	for _, part := range parts {
		for _, p := range part.problems {
			d.add(p)
		}
		if d.gaveUp == nil {
			d.gaveUp = part.gaveUp
		}
		d.visited += part.visited - before
		maps.Copy(d.doc.positions, part.doc.positions)
		maps.Copy(d.doc.expanded, part.doc.expanded)
	}
}
