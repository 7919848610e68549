package postgres

import "github.com/retraind/retraind/watch"

// knotLimit is how many changes of one item in one transaction are put in order; more are left as they were recorded.
const knotLimit = 16

// untangle orders the changes that one transaction made to one item by what they say: each begins with the labels that
// the one before ended with. Triggers record them in that order, except where a trigger of the application writes to
// the table that fired it: the inner statement is then recorded before the outer one. writers holds the transaction of
// each change. Changes of different items keep their places.
func untangle(changes []watch.Change, writers []string) {
	type knot struct{ writer, item string }
	groups := map[knot][]int{}
	for i, c := range changes {
		k := knot{writers[i], c.Item}
		groups[k] = append(groups[k], i)
	}
	for _, places := range groups {
		if len(places) < 2 || len(places) > knotLimit {
			continue
		}
		group := make([]watch.Change, len(places))
		for i, place := range places {
			group[i] = changes[place]
		}
		if chained(group) {
			continue
		}
		for start := range group {
			if ordered := chain(group, start); ordered != nil {
				for i, place := range places {
					changes[place] = ordered[i]
				}
				break
			}
		}
	}
}

func chained(group []watch.Change) bool {
	for i := 1; i < len(group); i++ {
		if !follows(group[i-1], group[i]) {
			return false
		}
	}
	return true
}

// follows tells whether b begins with what a ended with. A nil set is an item that is not there.
func follows(a, b watch.Change) bool { return (a.New == nil) == (b.Old == nil) && same(a.New, b.Old) }

// chain orders the group from a start, the earliest first where several fit; nil where it does not come out.
func chain(group []watch.Change, start int) []watch.Change {
	used := make([]bool, len(group))
	used[start] = true
	out := []watch.Change{group[start]}
	for len(out) < len(group) {
		next := -1
		for i, c := range group {
			if !used[i] && follows(out[len(out)-1], c) {
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
