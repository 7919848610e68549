package classifier_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
)

// period returns n texts of common words. Each text also contains the given word, with the given probability.
func period(n int, seed uint64, own string, share float64) []map[string]string {
	rng := rand.New(rand.NewPCG(seed, 7))
	var out []map[string]string
	for range n {
		var words []string
		for range 20 {
			words = append(words, fmt.Sprint("word", rng.IntN(200)))
		}
		if rng.Float64() < share {
			words[rng.IntN(len(words))] = own
		}
		out = append(out, map[string]string{"title": words[0], "content": strings.Join(words[1:], " ")})
	}
	return out
}

func TestTextDrift(t *testing.T) {
	t.Parallel()
	then := period(300, 1, "", 0)
	got := classifier.TextDrift(then, period(200, 2, "Pandemie", .6), 1)
	if !got.Compared || !got.Drifted || got.AUC < .7 || got.Then != 300 || got.Now != 200 {
		t.Errorf("%+v", got)
	}
	i := slices.IndexFunc(got.Words, func(w drift.TellingWord) bool { return w.Word == "pandemie" })
	if i != 0 || got.Words[0].Then != 0 || got.Words[0].Now < 90 {
		t.Errorf("distinctive words: %+v", got.Words)
	}
	if again := classifier.TextDrift(then, period(200, 2, "Pandemie", .6), 1); !cmp.Equal(got, again) {
		t.Errorf("two calls return different results: %+v and %+v", got, again)
	}
	if gone := classifier.TextDrift(period(300, 1, "Winter", .6), period(200, 2, "", 0), 1); !gone.Drifted ||
		len(gone.Words) == 0 || gone.Words[0].Word != "winter" || gone.Words[0].Now != 0 {
		t.Errorf("after a word has disappeared: %+v", gone)
	}
	for _, few := range [][2]int{{59, 300}, {300, 59}, {0, 0}} {
		if got := classifier.TextDrift(period(few[0], 1, "", 0), period(few[1], 2, "x", 1), 1); got.Compared || got.Drifted {
			t.Errorf("%v texts: %+v", few, got)
		}
	}
}

func TestTextDriftKeepsQuiet(t *testing.T) {
	t.Parallel()
	drifted := 0
	const times = 20
	for seed := range uint64(times) {
		if classifier.TextDrift(period(150, 100+seed, "", 0), period(100, 200+seed, "", 0), 1).Drifted {
			drifted++
		}
	}
	if drifted > 1 {
		t.Errorf("texts of the same source were distinguished %d of %d times", drifted, times)
	}
}

func TestBadTextDriftsNowhere(t *testing.T) {
	t.Parallel()
	bad := slices.Repeat([]map[string]string{{"t": "\xff\xfe"}, {}, {"t": ""}, {"t": strings.Repeat("x", 1<<20)}}, 20)
	if got := classifier.TextDrift(bad, bad, 1); got.Drifted || !(got.AUC >= 0 && got.AUC <= 1) {
		t.Errorf("%+v", got)
	}
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	var texts []map[string]string
	for i := range 40 {
		topic := []string{"Ball Tor Spiel", "Wolke Regen Wind"}[i%2]
		texts = append(texts, map[string]string{"title": topic, "content": fmt.Sprint("nummer ", i)})
	}
	texts = append(texts, map[string]string{})
	n := classifier.NewNeighbours(texts)
	for i := range 40 {
		near := n.Nearest(i, 9)
		if len(near) != 9 || slices.Contains(near, i) {
			t.Fatalf("of %d: %v", i, near)
		}
		for _, j := range near {
			if j%2 != i%2 {
				t.Errorf("%d is near %d", j, i)
			}
		}
	}
	if near := n.Nearest(40, 9); len(near) != 0 {
		t.Errorf("an empty text is near %v", near)
	}
	if near := n.Nearest(0, 100); len(near) > 40 {
		t.Errorf("%d neighbours of 40", len(near))
	}
	if near := classifier.NewNeighbours(nil); near == nil {
		t.Error("of nothing")
	}
}
