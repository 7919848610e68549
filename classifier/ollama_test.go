package classifier_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/internal/ollamatest"
)

// A model can be trained on the vectors of a real Ollama server. The server's model knows the words, but no label.
func TestEmbeddingsOfOllama(t *testing.T) {
	t.Parallel()
	words := ollamatest.Classifier{Words: map[string][]string{}, Else: []string{"none"}, Embeds: true}
	for _, e := range examples(1, 200) {
		for _, text := range e.Text {
			for w := range strings.FieldsSeq(text) {
				words.Words[w] = nil
			}
		}
	}
	server := ollamatest.Start(t)
	words.Install(t, server.URL, "words", "")
	site, data := newSite(t), t.TempDir()
	writeLines(t, filepath.Join(data, classifier.TrainFile), examples(1, 200))
	writeLines(t, filepath.Join(data, classifier.TestFile), examples(2, 60))
	m, err := classifier.TrainDir(data, filepath.Join(site.root, "releases", "one"), classifier.Options{
		Seed:       1,
		Embeddings: &classifier.Embeddings{URL: server.URL + "/api/embed", Model: "words"},
	}, nil)
	t.Logf("%d of %d right, %d features", m.TestRight, m.TestItems, m.Features)
	if err != nil || m.Features != 64 || m.Accuracy < .85 {
		t.Errorf("%+v, %v", m, err)
	}
}
