package classifier_test

import (
	"testing"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/internal/demo/news"
)

func newsExamples(n int) []classifier.Example {
	var out []classifier.Example
	for _, it := range news.Generate(1, n) {
		out = append(out, classifier.Example{ID: it.ID, Text: map[string]string{"title": it.Title, "content": it.Content}, Labels: map[string]string{"label": it.Label}})
	}
	return out
}

// BenchmarkTrain trains on as many texts as the demo's first release.
func BenchmarkTrain(b *testing.B) {
	list := newsExamples(1680)
	for b.Loop() {
		if _, _, err := classifier.Train(list, classifier.Options{Seed: 1}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
}

func BenchmarkClassify(b *testing.B) {
	list := newsExamples(400)
	m, _, err := classifier.Train(list, classifier.Options{Seed: 1, Epochs: 2}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Classify(list[i%len(list)].Text)
	}
}
