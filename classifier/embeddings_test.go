package classifier_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/retraind/retraind/classifier"
)

// embedder fakes an embedding service: each word has a random vector, and a text's vector is the sum of its words'
// vectors.
type embedder struct {
	*httptest.Server
	texts  atomic.Int64 // number requested
	dims   atomic.Int64
	broken atomic.Pointer[string] // error text, returned with status 500
}

func newEmbedder(t *testing.T, format string) *embedder {
	e := &embedder{}
	e.dims.Store(64)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b := e.broken.Load(); b != nil {
			http.Error(w, *b, http.StatusInternalServerError)
			return
		}
		var ask struct {
			Model string
			Input []string
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || ask.Model != "nomic" || r.Method != http.MethodPost ||
			len(ask.Input) == 0 {
			t.Errorf("%s %+v: %v", r.Method, ask, err)
		}
		e.texts.Add(int64(len(ask.Input)))
		var list [][]float64
		var data []any
		for i, text := range ask.Input {
			if text == "" {
				t.Error("an empty input")
			}
			list = append(list, direction(text, int(e.dims.Load())))
			data = append([]any{map[string]any{"index": i, "embedding": list[i], "object": "embedding"}}, data...) // reversed
		}
		answer := map[string]any{"model": ask.Model, "embeddings": list}
		if format == "openai" {
			answer = map[string]any{"object": "list", "data": data}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func direction(text string, dims int) []float64 {
	sum := make([]float64, dims)
	for word := range strings.FieldsSeq(text) {
		h := fnv.New64a()
		h.Write([]byte(word))
		rng := rand.New(rand.NewPCG(h.Sum64(), 1))
		for d := range sum {
			sum[d] += rng.NormFloat64()
		}
	}
	return sum
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"ollama", "openai"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			service, site, data := newEmbedder(t, format), newSite(t), t.TempDir()
			writeLines(t, filepath.Join(data, classifier.TrainFile), examples(1, 400))
			writeLines(t, filepath.Join(data, classifier.TestFile), examples(2, 100))
			cache := filepath.Join(t.TempDir(), "model", "embeddings")
			opts := classifier.Options{
				Seed:       1,
				Embeddings: &classifier.Embeddings{URL: service.URL, Model: "nomic", Cache: cache},
			}
			release := filepath.Join(site.root, "releases", "one")
			m, err := classifier.TrainDir(data, release, opts, nil)
			if err != nil || m.Features != 64 || m.Accuracy < .9 || m.ECE > .15 {
				t.Fatalf("%+v, %v", m, err)
			}
			asked := service.texts.Load()
			if asked < 400 || asked > 500 {
				t.Errorf("%d texts were requested", asked)
			}

			// Training again sends no text to the service. If a crash has cut off the last record of the cache, only the text of
			// that record is sent again.
			again := filepath.Join(site.root, "releases", "again")
			if _, err := classifier.TrainDir(data, again, opts, nil); err != nil || service.texts.Load() != asked {
				t.Errorf("%d texts were requested again, %v", service.texts.Load()-asked, err)
			}
			if a, b := file(t, release), file(t, again); a != b {
				t.Error("the same vectors give another model")
			}
			info, err := os.Stat(cache)
			if err != nil || os.Truncate(cache, info.Size()-5) != nil {
				t.Fatal(err)
			}
			if _, err := classifier.TrainDir(data, again, opts, nil); err != nil || service.texts.Load() != asked+1 {
				t.Errorf("after half a record %d texts were requested again, %v", service.texts.Load()-asked, err)
			}

			// A power cut can leave zeros in place of a record's last values.
			f, err := os.OpenFile(cache, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(make([]byte, 100), info.Size()-100); err != nil || f.Close() != nil {
				t.Fatal(err)
			}
			if _, err := classifier.TrainDir(data, again, opts, nil); err != nil || service.texts.Load() != asked+2 ||
				file(t, release) != file(t, again) {
				t.Errorf("after zeros %d texts were requested again, %v", service.texts.Load()-asked, err)
			}

			write(t, filepath.Join(release, classifier.ReleaseFile), `{"digest":"sha256:one"}`)
			site.point("one")
			s := classifier.NewServer(classifier.ServerOptions{Dir: site.link, Embeddings: service.URL})
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			code, body := ask(t, s, "POST", "/classify", `{"content":"Elfmeter Pokal Stadion"}`)
			if code != 200 || !strings.Contains(body, `"label":"Sport"`) || !strings.Contains(body, "sha256:one") {
				t.Errorf("%d %s", code, body)
			}
			if code, body := ask(t, s, "POST", "/classify/batch",
				`{"items":[{"a":"Oper Bühne Premiere"},{"a":"Browser Update Router"}]}`); code != 200 ||
				!strings.Contains(body, "Kultur") || !strings.Contains(body, "Netz") {
				t.Errorf("%d %s", code, body)
			}

			service.dims.Store(32)
			if code, body := ask(t, s, "POST", "/classify", `{"content":"anders"}`); code != 503 ||
				!strings.Contains(body, "trained with 64; train again") {
				t.Errorf("%d %s", code, body)
			}
			why := "model \"nomic\" not found"
			service.broken.Store(&why)
			if code, body := ask(t, s, "POST", "/classify", `{"content":"Tor"}`); code != 503 ||
				!strings.Contains(body, "not found") || !strings.Contains(body, service.URL) {
				t.Errorf("%d %s", code, body)
			}
			opts.Embeddings.Cache = ""
			if _, err := classifier.TrainDir(data, t.TempDir(), opts, nil); err == nil ||
				!strings.Contains(err.Error(), "status 500") {
				t.Error(err)
			}
		})
	}
}

func file(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, classifier.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEmbeddingsThatAreNone(t *testing.T) {
	t.Parallel()
	for answer, says := range map[string]string{
		`<html>`:                                 "not the JSON that is expected",
		`{}`:                                     "the numbers of embeddings (0) and of texts (32) differ",
		`{"embeddings":[[1]]}`:                   "the numbers of embeddings (1) and of texts",
		`{"data":[{"index":1,"embedding":[1]}]}`: "the index 1 is repeated or out of range",
	} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request,
		) {
			fmt.Fprint(w, answer)
		}))
		t.Cleanup(service.Close)
		_, _, err := classifier.Train(examples(1, 90),
			classifier.Options{Embeddings: &classifier.Embeddings{URL: service.URL, Model: "m"}}, nil)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not contain %q", answer, err, says)
		}
	}
}

// No error contains the password of the service's URL.
func TestEmbeddingsHidePassword(t *testing.T) {
	t.Parallel()
	service := newEmbedder(t, "ollama")
	why := "not found"
	service.broken.Store(&why)
	url := strings.Replace(service.URL, "://", "://bob:geheim@", 1)
	for url, says := range map[string]string{url: "bob:xxxxx@", url + "%zz": "it is not a URL"} {
		_, _, err := classifier.Train(examples(1, 90),
			classifier.Options{Embeddings: &classifier.Embeddings{URL: url, Model: "nomic"}}, nil)
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not contain %q", err, says)
		}
	}
}
