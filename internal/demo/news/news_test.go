//go:build !race

// The trainer has its race tests in its own package; here it only costs twenty times as much.

package news_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/demo/news"
)

func TestSameSeedSameTexts(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(news.Generate(7, 300), news.Generate(7, 300)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(news.Generate(7, 300)[:100], news.Generate(7, 100)); diff != "" {
		t.Errorf("a longer series begins otherwise than a shorter one: %s", diff)
	}
	if cmp.Equal(news.Generate(7, 50), news.Generate(8, 50)) {
		t.Error("two seeds, the same texts")
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	const n = 4000
	count, titles, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	umlauts := 0
	for _, item := range news.Generate(1, n) {
		count[item.Label]++
		titles[item.Title]++
		ids[item.ID] = true
		text := item.Title + " " + item.Content
		if strings.ContainsAny(text, "äöüßÄÖÜ") {
			umlauts++
		}
		if !utf8.ValidString(text) || strings.Contains(text, "  ") || strings.Contains(text, "%!") || !strings.HasSuffix(item.Content, ".") {
			t.Errorf("%s is badly made: %q", item.ID, text)
		}
		if len(item.Content) < 100 {
			t.Errorf("%s is too short: %q", item.ID, item.Content)
		}
	}
	if len(ids) != n {
		t.Errorf("%d distinct ids among %d items", len(ids), n)
	}
	if umlauts < n*9/10 {
		t.Errorf("only %d of %d texts have an umlaut", umlauts, n)
	}
	if len(titles) < n*7/10 {
		t.Errorf("only %d distinct titles among %d", len(titles), n)
	}
	topics := news.Topics()
	if len(count) != len(topics) || len(topics) < 8 {
		t.Errorf("labels %v, topics %v", count, topics)
	}
	for _, topic := range topics {
		if share := float64(count[topic]) / n; share < 0.05 || share > 0.20 {
			t.Errorf("%s makes up %.3f", topic, share)
		}
	}
}

func examples(items []news.Item, into map[string]string) (train, test []classifier.Example) {
	member := drift.NewMembership([]byte("a salt"), 0.15)
	for _, item := range items {
		label := item.Label
		if other, ok := into[label]; ok {
			label = other
		}
		e := classifier.Example{
			ID: item.ID, Text: map[string]string{"title": item.Title, "content": item.Content},
			Labels: map[string]string{"label": label},
		}
		if member.Heldout(drift.GroupKey(e.Text, nil)) {
			test = append(test, e)
		} else {
			train = append(train, e)
		}
	}
	return train, test
}

func judge(m *classifier.Model, test []classifier.Example) (accuracy float64, recall map[string]float64) {
	right, all, total := map[string]int{}, map[string]int{}, 0
	for _, e := range test {
		truth := e.Labels["label"]
		all[truth]++
		if label, _ := m.Classify(e.Text); label == truth {
			right[truth]++
			total++
		}
	}
	recall = map[string]float64{}
	for label, n := range all {
		recall[label] = float64(right[label]) / float64(n)
	}
	return float64(total) / float64(len(test)), recall
}

func TestClassifierFindsTheTopicsButNotAllOfThem(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		train, test := examples(news.Generate(seed, 2000), nil)
		m, _, err := classifier.Train(train, classifier.Options{Seed: seed}, nil)
		if err != nil {
			t.Fatal(err)
		}
		accuracy, _ := judge(m, test)
		if accuracy < 0.88 || accuracy > 0.98 {
			t.Errorf("seed %d: accuracy %.3f on %d texts is not between .88 and .98", seed, accuracy, len(test))
		}
		t.Logf("seed %d: %.3f of %d", seed, accuracy, len(test))
	}
}

// TestMergedPairSplits is the demo's story: two topics are filed as one, the corrections restore the truth, and a
// retraining learns to tell them apart.
func TestMergedPairSplits(t *testing.T) {
	t.Parallel()
	for i, pair := range news.Pairs() {
		items := news.Generate(uint64(i+1), 2000)
		merged, _ := examples(items, map[string]string{pair.From: pair.Into})
		old, _, err := classifier.Train(merged, classifier.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		train, test := examples(items, nil)
		retrained, _, err := classifier.Train(train, classifier.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := judge(old, test)
		after, recall := judge(retrained, test)
		if after-before < 0.05 {
			t.Errorf("%v: %.3f before, %.3f after: less than 5 points", pair, before, after)
		}
		for _, topic := range []string{pair.Into, pair.From} {
			if recall[topic] < 0.8 {
				t.Errorf("%v: recall of %s is %.2f", pair, topic, recall[topic])
			}
		}
		t.Logf("%v: %.3f -> %.3f, recall %.2f and %.2f", pair, before, after, recall[pair.Into], recall[pair.From])
	}
}
