package demo

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/retraind/retraind/internal/demo/news"
	"github.com/retraind/retraind/internal/text"
)

// Item is one labelled text of the scenario. Label is the truth.
type Item struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Content string `json:"content"`
	Label   string `json:"label"`
}

// pair is two categories. The items of the category `from` have the label `into` until their labels are corrected.
type pair struct{ into, from string }

// story contains the items and the changes of their labels.
type story struct {
	items   []Item
	pairs   [2]pair // split in the first and in the third act
	share   float64 // share of the items that are held out
	minimum int     // number of scored held-out items below which nothing is decided
	margin  float64 // points by which the gate allows a candidate to be worse
}

const (
	demoItems    = 2000
	wantHeldOut  = 300  // target number of held-out items: gives an interval of about four points
	maxHeldOut   = 0.3  // largest share that is held out
	defaultShare = 0.15 // share that is held out of a large table
	manyHeldOut  = 1000 // held-out items that show a difference of a point; fewer need a wider margin
	poisonShare  = 0.45 // share of the items whose labels are shuffled in the second act
)

// newStory creates the scenario with generated texts, or with those of a file.
func newStory(file string, seed uint64) (story, error) {
	s := story{}
	if file == "" {
		for _, it := range news.Generate(seed, demoItems) {
			s.items = append(s.items, Item{ID: it.ID, Title: it.Title, Content: it.Content, Label: it.Label})
		}
		p := news.Pairs()
		s.pairs = [2]pair{{p[0].Into, p[0].From}, {p[1].Into, p[1].From}}
	} else {
		var err error
		if s.items, err = readItems(file); err != nil {
			return s, err
		}
		if s.pairs, err = choosePairs(s.items); err != nil {
			return s, fmt.Errorf("demo data: %s: %w", file, err)
		}
	}
	s.share = min(maxHeldOut, max(defaultShare, float64(wantHeldOut)/float64(len(s.items))))
	heldOut := s.share * float64(len(s.items))
	s.minimum = min(200, int(heldOut*0.7))
	if s.margin = 1; heldOut < manyHeldOut {
		s.margin = 3
	}
	return s, nil
}

// readItems reads JSON lines {id, title, content, label}.
func readItems(file string) ([]Item, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("demo data: %w", err)
	}
	defer f.Close()
	var items []Item
	seen := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		var it Item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return nil, fmt.Errorf("demo data: %s:%d: %w; each line must be {\"id\", \"title\", \"content\", \"label\"}",
				file, n, err)
		}
		switch {
		case it.ID == "" || it.Label == "":
			return nil, fmt.Errorf("demo data: %s:%d: id and label are required", file, n)
		case seen[it.ID]:
			return nil, fmt.Errorf("demo data: %s:%d: duplicate id %q", file, n, it.ID)
		}
		seen[it.ID] = true
		items = append(items, it)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("demo data: %s: %w", file, err)
	}
	if len(items) < 300 {
		return nil, fmt.Errorf("demo data: %s has %s; the demo needs at least 300", file, text.Plural(len(items), "item"))
	}
	return items, nil
}

// choosePairs returns two pairs of the four most frequent categories. With frequent categories, splitting a pair
// changes the accuracy visibly.
func choosePairs(items []Item) ([2]pair, error) {
	count := map[string]int{}
	for _, it := range items {
		count[it.Label]++
	}
	names := slices.SortedFunc(maps.Keys(count),
		func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	if len(names) < 5 {
		return [2]pair{}, fmt.Errorf("%d categories; the demo needs at least 5", len(names))
	}
	return [2]pair{{names[0], names[1]}, {names[2], names[3]}}, nil
}

// before returns an item's label at the start, when the pairs were merged.
func (s story) before(it Item) string {
	for _, p := range s.pairs {
		if it.Label == p.from {
			return p.into
		}
	}
	return it.Label
}

// change is one row's new label.
type change struct{ id, label string }

// split returns the corrections that restore the true labels of one pair.
func (s story) split(p pair) []change {
	var out []change
	for _, it := range s.items {
		if it.Label == p.from {
			out = append(out, change{it.ID, it.Label})
		}
	}
	return out
}

// poison returns changes that give a share of the items the label of another item, based on the labels at the end of
// the first act. The second list reverts these changes.
func (s story) poison(seed uint64) (poison, cure []change) {
	rng := rand.New(rand.NewPCG(seed, 2))
	label := func(it Item) string {
		if it.Label == s.pairs[1].from {
			return s.pairs[1].into // not corrected yet
		}
		return it.Label
	}
	for _, i := range rng.Perm(len(s.items))[:int(poisonShare*float64(len(s.items)))] {
		it, other := s.items[i], s.items[rng.IntN(len(s.items))]
		if label(it) != label(other) {
			poison = append(poison, change{it.ID, label(other)})
			cure = append(cure, change{it.ID, label(it)})
		}
	}
	return poison, cure
}
