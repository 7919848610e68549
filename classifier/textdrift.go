package classifier

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/retraind/retraind/drift"
)

const (
	leastTexts = 60   // of each period; with fewer there is no result
	mostTexts  = 1000 // of each period, drawn at random
	leastAUC   = 0.55 // a classifier hardly better than chance is not worth a report
	mostWords  = 12
	leastZ     = 3.0
)

// TextDrift tests whether texts of two periods can be distinguished. It trains a classifier for "then" and "now" on one
// half of the texts, and compares the classifier's AUC on the other half with chance. By chance the AUC is 0.5 with a
// standard deviation of sqrt((n0+n1+1)/(12 n0 n1)) (Mann and Whitney 1947). Drifted means an AUC above 0.55 and more
// than three deviations above 0.5. If the texts drifted, the result lists up to mostWords words that the classifier
// takes as evidence and whose share of texts changed by a log odds ratio of at least three standard errors. The same
// texts and seed give the same result.
func TextDrift(then, now []map[string]string, seed uint64) drift.TextDrift {
	rng := rand.New(rand.NewPCG(seed, 0x74657874))
	then, now = sample(rng, then), sample(rng, now)
	out := drift.TextDrift{Then: len(then), Now: len(now)}
	if len(then) < leastTexts || len(now) < leastTexts {
		return out
	}
	var learn, ask []Example
	for label, texts := range map[string][]map[string]string{"now": now, "then": then} {
		for i, text := range texts {
			e := Example{Text: text, Labels: map[string]string{"label": label}}
			if i%2 == 0 {
				learn = append(learn, e)
			} else {
				ask = append(ask, e)
			}
		}
	}
	byLabel := func(a, b Example) int { return cmp.Compare(a.Labels["label"], b.Labels["label"]) }
	slices.SortStableFunc(learn, byLabel) // the loop over the map has no fixed order
	slices.SortStableFunc(ask, byLabel)
	m, _, err := Train(learn, Options{Seed: seed, quick: true}, nil)
	if err != nil {
		return out // cannot fail: two labels and enough texts
	}
	var n0, n1 float64
	out.AUC, n0, n1 = m.auc(ask)
	out.Bound = max(leastAUC, 0.5+3*math.Sqrt((n0+n1+1)/(12*n0*n1)))
	out.Compared = true
	out.Drifted = out.AUC > out.Bound
	if out.Drifted {
		out.Words = m.words(then, now)
	}
	return out
}

func sample(rng *rand.Rand, texts []map[string]string) []map[string]string {
	texts = slices.Clone(texts)
	rng.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	return texts[:min(len(texts), mostTexts)]
}

// now returns the probability that a text is from the second period. The model's categories must be "now" and "then".
func (m *Model) now(text map[string]string) float64 {
	_, _, probs := m.Predict(text)
	return probs[0]
}

// auc returns the share of pairs, with one text from each period, that the model orders correctly; a tie counts half.
func (m *Model) auc(ask []Example) (auc, then, now float64) {
	type scored struct {
		p   float64
		now bool
	}
	list := make([]scored, len(ask))
	eachInParallel(len(ask), func(from, to int) {
		for i := from; i < to; i++ {
			list[i] = scored{m.now(ask[i].Text), ask[i].Labels["label"] == "now"}
		}
	})
	slices.SortFunc(list, func(a, b scored) int { return cmp.Compare(a.p, b.p) })
	var pairs float64
	for i := 0; i < len(list); {
		var tied [2]float64
		for p := list[i].p; i < len(list) && list[i].p == p; i++ {
			if list[i].now {
				tied[1]++
			} else {
				tied[0]++
			}
		}
		pairs += tied[1] * (then + tied[0]/2)
		then, now = then+tied[0], now+tied[1]
	}
	return pairs / (then * now), then, now
}

// words returns the words that distinguish the second period from the first.
func (m *Model) words(then, now []map[string]string) []drift.TellingWord {
	before, after := documents(then), documents(now)
	type candidate struct {
		drift.TellingWord
		z float64
	}
	var found []candidate
	a, b := float64(len(then)), float64(len(now))
	consider := func(word string) {
		x, y := float64(before[word]), float64(after[word])
		z := math.Log((y+.5)/(b-y+.5)) - math.Log((x+.5)/(a-x+.5))
		z /= math.Sqrt(1/(x+.5) + 1/(y+.5) + 1/(a-x+.5) + 1/(b-y+.5))
		if math.Abs(z) < leastZ {
			return
		}
		if sign := m.now(map[string]string{"": word}) - m.now(map[string]string{"": ""}); sign*z <= 0 {
			return
		}
		found = append(found, candidate{drift.TellingWord{Word: word, Then: before[word], Now: after[word]}, math.Abs(z)})
	}
	for word := range before {
		consider(word)
	}
	for word := range after {
		if before[word] == 0 {
			consider(word)
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.z, a.z), strings.Compare(a.Word, b.Word)) })
	var out []drift.TellingWord
	for _, c := range found[:min(len(found), mostWords)] {
		out = append(out, c.TellingWord)
	}
	return out
}

// documents counts, for each word of 3 to 40 letters and digits, the texts that contain it.
func documents(texts []map[string]string) map[string]int {
	out := map[string]int{}
	for _, fields := range texts {
		text := textOf(fields)
		text = strings.ToValidUTF8(text[:min(len(text), maxText)], " ")
		seen := map[string]bool{}
		for word := range strings.FieldsFuncSeq(text,
			func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
			if n := utf8.RuneCountInString(word); n < 3 || n > 40 {
				continue
			}
			if word = strings.ToLower(word); !seen[word] {
				seen[word] = true
				out[word]++
			}
		}
	}
	return out
}
