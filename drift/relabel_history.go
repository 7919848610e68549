package drift

import (
	"cmp"
	"slices"
	"time"

	"github.com/retraind/retraind/serving"
)

// RelabelHistory records who relabelled what since a release was trained: for each item, the label at the training, the
// present label, and the author and minute of the last relabel. It costs about 200 bytes per relabelled item, and
// constant time per change. Only one goroutine may use it.
type RelabelHistory struct {
	target  serving.Target
	items   map[string]*step
	authors names
}

type step struct {
	first, now string // labels of the gating target; never empty
	second     string // the label before the present one
	changes    int
	back       int // how often it returned to the first label or the one before the last change
	author     int32
	minute     int64
	heldout    bool
}

// NewRelabelHistory starts a history for the gating target.
func NewRelabelHistory(target serving.Target) *RelabelHistory {
	return &RelabelHistory{target: target, items: map[string]*step{}}
}

// Add records a relabel by people; it ignores first labels and removals. The caller leaves out retraind's own writes.
func (t *RelabelHistory) Add(item string, heldout bool, old, new map[string]string, author string, at time.Time) {
	from, _ := t.target.Value(old)
	to, _ := t.target.Value(new)
	if from == "" || to == "" || from == to {
		return
	}
	s := t.items[item]
	if s == nil {
		s = &step{first: from, now: from, second: from}
		t.items[item] = s
	}
	if s.changes > 0 && (to == s.first || to == s.second) {
		s.back++
	}
	s.second, s.now, s.heldout = s.now, to, heldout
	s.changes++
	s.author, s.minute = t.authors.number(author), at.Unix()/60
}

// Forget removes an item from the history, because it was deleted.
func (t *RelabelHistory) Forget(item string) { delete(t.items, item) }

// Len returns the number of items whose label differs from the label at the training.
func (t *RelabelHistory) Len() int {
	n := 0
	for _, s := range t.items {
		if s.now != s.first {
			n++
		}
	}
	return n
}

// Restless counts the items whose label went back and forth: it changed at least three times, and at least twice to the
// first label or to the one before the last change.
func (t *RelabelHistory) Restless() int {
	n := 0
	for _, s := range t.items {
		if s.back >= 2 {
			n++
		}
	}
	return n
}

// Relabelled is one held-out item with its label at the training and its present label.
type Relabelled struct {
	Item, From, To string
}

// RelabelGroup is a group of label changes by the same author or from the same minute. Comments call this author or
// minute a source.
type RelabelGroup struct {
	Kind  RelabelGroupKind `json:"kind"`
	Name  string           `json:"name"`  // the author, or the minute as RFC 3339 in UTC
	Items int              `json:"items"` // items that it relabelled last, and whose label differs from the training
	Share float64          `json:"share"` // of all items whose label differs from the training

	// Judged is the number of held-out items of the group whose relabels were compared with the release's answer and
	// with the labels of the nearest texts. The next three fields count the relabels that contradict the answer, the
	// labels, or both.
	Judged       int  `json:"judged"`
	Model        int  `json:"against_model"`
	Neighbours   int  `json:"against_neighbours"`
	Contradicted int  `json:"contradicted"` // both
	Suspicious   bool `json:"suspicious"`

	Without *Without `json:"without,omitempty"`
}

// Without contains the figures that result if a source's label changes are undone.
type Without struct {
	Accuracy float64 `json:"accuracy"`
	Scored   int     `json:"scored"`
	Drop     float64 `json:"drop"` // points since the promotion
	Retrain  bool    `json:"retrain"`
	Text     string  `json:"text"` // the decision
}

// RelabelGroupKind is the common property of a group.
type RelabelGroupKind string

// The kinds of groups.
const (
	ByAuthor RelabelGroupKind = "author"
	ByMinute RelabelGroupKind = "minute"
)

// Groups lists the authors and then the minutes that relabelled the most items, at most three of each, the largest
// first.
func (t *RelabelHistory) Groups() []RelabelGroup {
	byAuthor, byMinute := map[int32]int{}, map[int64]int{}
	all := 0
	for _, s := range t.items {
		if s.now == s.first {
			continue
		}
		all++
		byAuthor[s.author]++
		byMinute[s.minute]++
	}
	var authors, minutes []RelabelGroup
	for author, n := range byAuthor {
		authors = append(authors, RelabelGroup{Kind: ByAuthor, Name: t.authors.list[author], Items: n, Share: share(n, all)})
	}
	for minute, n := range byMinute {
		minutes = append(minutes, RelabelGroup{Kind: ByMinute, Name: minuteName(minute), Items: n, Share: share(n, all)})
	}
	var out []RelabelGroup
	for _, list := range [][]RelabelGroup{authors, minutes} {
		slices.SortFunc(list, func(a, b RelabelGroup) int {
			return cmp.Or(cmp.Compare(b.Items, a.Items), cmp.Compare(a.Name, b.Name))
		})
		out = append(out, list[:min(len(list), 3)]...)
	}
	return out
}

func minuteName(minute int64) string { return time.Unix(60*minute, 0).UTC().Format(time.RFC3339) }

// Before maps the items of a source (see RelabelGroup.Items) to their labels at the training.
func (t *RelabelHistory) Before(src RelabelGroup) map[string]string {
	out := map[string]string{}
	for id, s := range t.items {
		if s.now != s.first && t.made(s, src) {
			out[id] = s.first
		}
	}
	return out
}

func (t *RelabelHistory) made(s *step, src RelabelGroup) bool {
	if src.Kind == ByMinute {
		return minuteName(s.minute) == src.Name
	}
	return t.authors.list[s.author] == src.Name
}

// Others lists the held-out items of all other sources (see RelabelGroup.Items).
func (t *RelabelHistory) Others(src RelabelGroup) []Relabelled {
	var out []Relabelled
	for id, s := range t.items {
		if s.heldout && s.now != s.first && !t.made(s, src) {
			out = append(out, Relabelled{id, s.first, s.now})
		}
	}
	return out
}

// Of lists the held-out items of a source (see RelabelGroup.Items), ordered by id.
func (t *RelabelHistory) Of(src RelabelGroup) []Relabelled {
	var out []Relabelled
	for id, s := range t.items {
		if s.heldout && s.now != s.first && t.made(s, src) {
			out = append(out, Relabelled{id, s.first, s.now})
		}
	}
	slices.SortFunc(out, func(a, b Relabelled) int { return cmp.Compare(a.Item, b.Item) })
	return out
}
