package classifier_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/classifier"
)

// testdata/v1.bin.gz was trained by the version before the vocabulary; v1.predictions.jsonl has its answers at that
// time.
func TestModelsOfFormat1AreServed(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	dir := filepath.Join(site.root, "releases", "old")
	f, err := os.Open("testdata/v1.bin.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, classifier.FileName), string(b))
	write(t, filepath.Join(dir, classifier.ReleaseFile), `{"digest":"sha256:old"}`)
	site.point("old")
	s := classifier.NewServer(classifier.ServerOptions{Dir: site.link})
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	answers, err := os.Open("testdata/v1.predictions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Close()
	n := 0
	for lines := bufio.NewScanner(answers); lines.Scan(); n++ {
		var was struct {
			Text       json.RawMessage
			Label      string
			Confidence float64
		}
		if err := json.Unmarshal(lines.Bytes(), &was); err != nil {
			t.Fatal(err)
		}
		code, body := ask(t, s, "POST", "/classify", string(was.Text))
		var is classifier.Result
		if err := json.Unmarshal([]byte(body), &is); err != nil || code != 200 || is.Label != was.Label ||
			math.Abs(is.Confidence-was.Confidence) > 1e-5 || is.Release != "sha256:old" {
			t.Errorf("%d %s, once %s %v", code, body, was.Label, was.Confidence)
		}
	}
	if n != 20 {
		t.Errorf("%d answers", n)
	}
	if m, err := classifier.Load(dir); err != nil || m.Save(t.TempDir()) == nil {
		t.Errorf("a model of the old format was written in the new one: %v", err)
	}
}
