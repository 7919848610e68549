package classifier_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/classifier"
)

// topics returns the words of three small topics.
func topics() map[string][]string {
	return map[string][]string{
		"Sport":  strings.Fields("Tor Trainer Stürmer Pokal Elfmeter Spieltag Tabelle Abpfiff Verein Stadion"),
		"Kultur": strings.Fields("Theater Oper Roman Gemälde Museum Regisseur Bühne Konzert Lesung Premiere"),
		"Netz":   strings.Fields("Browser Update Passwort Server Software Router Konto Algorithmus Daten App"),
	}
}

// examples generates n texts, each with two words of its topic among common ones.
func examples(seed uint64, n int) []classifier.Example {
	rng := rand.New(rand.NewPCG(seed, 1))
	common := strings.Fields("und der die das am Montag sagte ein Sprecher in Köln heute wieder mehr als zuvor")
	names := []string{"Kultur", "Netz", "Sport"}
	out := make([]classifier.Example, n)
	for i := range out {
		label := names[rng.IntN(3)]
		words := topics()[label]
		text := make([]string, 0, 12)
		for range 10 {
			text = append(text, common[rng.IntN(len(common))])
		}
		text = append(text, words[rng.IntN(10)], words[rng.IntN(10)])
		rng.Shuffle(len(text), func(i, j int) { text[i], text[j] = text[j], text[i] })
		out[i] = classifier.Example{
			ID: fmt.Sprint("i", i), Text: map[string]string{"title": words[rng.IntN(10)], "content": strings.Join(text, " ")},
			Labels: map[string]string{"label": label},
		}
	}
	return out
}

func train(t *testing.T, seed uint64, list []classifier.Example) *classifier.Model {
	t.Helper()
	m, _, err := classifier.Train(list, classifier.Options{Seed: seed, Epochs: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func accuracy(m *classifier.Model, list []classifier.Example) float64 {
	right := 0
	for _, e := range list {
		if label, _ := m.Classify(e.Text); label == e.Labels["label"] {
			right++
		}
	}
	return float64(right) / float64(len(list))
}

func writeLines(t *testing.T, path string, list []classifier.Example) {
	t.Helper()
	var b strings.Builder
	for _, e := range list {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	write(t, path, b.String())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
