// Package news generates labelled German texts that look like short news, for the demo and for tests.
//
// It contains the vocabularies. The same seed gives the same texts. All functions are pure and may be called from any
// goroutine. The package never reads a file, and contains no text by other authors.
package news

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Item is one text with its true label.
type Item struct {
	ID      string
	Title   string
	Content string
	Label   string
}

// Pair is two topics that are easily confused.
type Pair struct {
	Into string // the label of both while they are merged
	From string // the label that is split off
}

// Topics lists the labels.
func Topics() []string {
	var names []string
	for _, t := range topics() {
		names = append(names, t.name)
	}
	return names
}

// Pairs lists the pairs of similar topics.
func Pairs() []Pair {
	var pairs []Pair
	for _, o := range overlaps() {
		pairs = append(pairs, Pair{Into: o.first, From: o.second})
	}
	return pairs
}

const (
	mixed      = 0.17 // share of texts with a second topic
	ownShare   = 0.50 // share of sentences with the topic's own words; the others use the pair's or the common words
	mixedOwn   = 0.34
	otherShare = 0.30 // share of a mixed text's sentences about the second topic
	pairShare  = 0.20 // share of sentences with the pair's words, in a topic that is half of a pair
)

// Generate generates n items.
func Generate(seed uint64, n int) []Item {
	w := &writer{
		rng: rand.New(rand.NewPCG(seed, 0x6e657773)), topics: topics(), common: common(), frame: frames(),
		shared: map[string]topic{},
	}
	for _, o := range overlaps() {
		w.shared[o.first], w.shared[o.second] = o.words, o.words
	}
	for _, t := range w.topics {
		w.total += t.weight
	}
	items := make([]Item, n)
	for i := range items {
		items[i] = w.item(i)
	}
	return items
}

type writer struct {
	rng    *rand.Rand
	topics []topic
	total  int
	shared map[string]topic
	common topic
	frame  frame
}

func (w *writer) item(i int) Item {
	own, other := w.topic(), topic{}
	upToOwn, upToOther := ownShare, ownShare
	isMixed := w.rng.Float64() < mixed
	if isMixed {
		upToOwn, upToOther = mixedOwn, mixedOwn+otherShare
		for other.name == "" || other.name == own.name {
			other = w.topic()
		}
	}
	source := func() topic {
		r := w.rng.Float64()
		switch shared, close := w.shared[own.name]; {
		case r < upToOwn:
			return own
		case r < upToOther:
			return other
		case close && r < upToOther+pairShare:
			return shared
		}
		return w.common
	}
	title := w.title(source())
	sentences := make([]string, 3+w.rng.IntN(4))
	for s := range sentences {
		sentences[s] = w.sentence(source())
	}
	if !isMixed { // only mixed texts may lack a word of their topic
		sentences[w.rng.IntN(len(sentences))] = w.sentence(own)
	}
	return Item{ID: fmt.Sprintf("news-%05d", i+1), Title: title, Content: strings.Join(sentences, " "), Label: own.name}
}

// topic draws a topic by its weight.
func (w *writer) topic() topic {
	r := w.rng.IntN(w.total)
	for _, t := range w.topics {
		if r -= t.weight; r < 0 {
			return t
		}
	}
	return w.topics[0]
}

func pick[T any](w *writer, list []T) T { return list[w.rng.IntN(len(list))] }

// two draws two different elements.
func two(w *writer, list []string) (string, string) {
	i, j := w.rng.IntN(len(list)), w.rng.IntN(len(list)-1)
	if j >= i {
		j++
	}
	return list[i], list[j]
}

func (w *writer) sentence(t topic) string {
	subject, p := pick(w, t.subjects), pick(w, t.predicates)
	day, place := pick(w, w.frame.days), pick(w, w.frame.places)
	switch w.rng.IntN(6) {
	case 0:
		return upper(fmt.Sprintf("%s %s %s %s %s.", subject, p.verb, day, place, p.rest))
	case 1:
		return upper(fmt.Sprintf("%s %s %s %s %s.", day, p.verb, subject, place, p.rest))
	case 2:
		return upper(fmt.Sprintf("%s %s %s %s.", place, p.verb, subject, p.rest))
	case 3:
		return fmt.Sprintf("Nach Angaben %s %s %s %s %s.", pick(w, w.frame.sources), p.verb, subject, day, p.rest)
	case 4:
		return fmt.Sprintf("Dabei geht es %s vor allem um %s, aber auch um offene Fragen.", place, pick(w, t.things))
	default:
		first, second := two(w, t.things)
		return fmt.Sprintf("%s und %s beschäftigten %s %s.", first, second, day, accusative(pick(w, w.common.subjects)))
	}
}

func (w *writer) title(t topic) string {
	subject, p, place := pick(w, t.subjects), pick(w, t.predicates), pick(w, w.frame.places)
	switch w.rng.IntN(4) {
	case 0:
		return upper(fmt.Sprintf("%s %s %s", subject, p.verb, p.rest))
	case 1:
		return fmt.Sprintf("Streit um %s %s", pick(w, t.things), place)
	case 2:
		return fmt.Sprintf("%s: %s %s %s", pick(w, t.things), upper(subject), p.verb, p.rest)
	default:
		first, second := two(w, t.things)
		return fmt.Sprintf("%s und %s %s", first, second, place)
	}
}

// accusative declines a subject of the common vocabulary: only the masculine ones change.
func accusative(subject string) string {
	if rest, ok := strings.CutPrefix(subject, "der "); ok {
		return "den " + rest
	}
	switch subject {
	case "ein Sprecher":
		return "einen Sprecher"
	case "ein Beteiligter":
		return "einen Beteiligten"
	case "ein Experte":
		return "einen Experten"
	}
	return subject
}

func upper(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}
