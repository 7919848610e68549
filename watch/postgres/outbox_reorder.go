package postgres

import "github.com/retraind/retraind/watch"

// maxReorder is the largest number of changes of one item in one transaction that are reordered. A longer group keeps
// the recorded order.
const maxReorder = 16

// reorder sorts the changes that one transaction made to one item, so that each begins with the labels that the
// previous one ended with. The triggers usually record the changes in that order. But if a trigger of the application
// writes to the table that fired it, the inner statement is recorded before the outer one. writers contains the
// transaction of each change. A change never moves to a place of another item.
func reorder(changes []watch.Change, writers []string) {
	type key struct{ writer, item string }
	groups := map[key][]int{}
	for i, c := range changes {
		k := key{writers[i], c.Item}
		groups[k] = append(groups[k], i)
	}
	for _, places := range groups {
		if len(places) < 2 || len(places) > maxReorder {
			continue
		}
		group := make([]watch.Change, len(places))
		for i, place := range places {
			group[i] = changes[place]
		}
		if inOrder(group) {
			continue
		}
		for start := range group {
			if ordered := orderFrom(group, start); ordered != nil {
				for i, place := range places {
					changes[place] = ordered[i]
				}
				break
			}
		}
	}
}

func inOrder(group []watch.Change) bool {
	for i := 1; i < len(group); i++ {
		if !continues(group[i-1], group[i]) {
			return false
		}
	}
	return true
}

// continues reports whether b begins with the labels that a ended with. A nil set means that the item does not
// exist.
func continues(a, b watch.Change) bool { return (a.New == nil) == (b.Old == nil) && same(a.New, b.Old) }

// orderFrom orders the group, beginning with the change at index start. If several changes can follow, it takes the
// earliest. It returns nil if no order fits.
func orderFrom(group []watch.Change, start int) []watch.Change {
	used := make([]bool, len(group))
	used[start] = true
	out := []watch.Change{group[start]}
	for len(out) < len(group) {
		next := -1
		for i, c := range group {
			if !used[i] && continues(out[len(out)-1], c) {
				next = i
				break
			}
		}
		if next < 0 {
			return nil
		}
		used[next] = true
		out = append(out, group[next])
	}
	return out
}
