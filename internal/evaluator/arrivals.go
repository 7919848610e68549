package evaluator

import (
	"slices"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// arrivals counts the changes since the last event about them.
type arrivals struct {
	last         int64 // the last change that is counted here or was reported by an event
	changes, own int
	sources      []string // the sources of the changes, sorted
}

func (a *arrivals) count(c store.Change) {
	a.last = c.N
	a.changes++
	if isOwn(c) {
		a.own++
	}
	if !slices.Contains(a.sources, c.Source) {
		a.sources = append(a.sources, c.Source)
		slices.Sort(a.sources)
	}
}

func isOwn(c store.Change) bool { return watch.IsOwn(c.Origin) }
