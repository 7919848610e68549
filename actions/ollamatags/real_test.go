package ollamatags

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/serving/ollama"
)

// A server killed during a copy leaves an empty manifest under the name that clients use. A repeated switch writes the
// manifest again.
func TestTornName(t *testing.T) {
	t.Parallel()
	server := ollamatest.Start(t)
	b := newBench(t, server.URL)
	one, two := b.release("goal", "sport"), b.release("goal", "politics")
	b.make(one)
	b.switchTo(one, "")
	b.make(two)
	manifest := filepath.Join(server.Models, "manifests/registry.ollama.ai/library", b.place.Model, "latest")
	if err := os.Truncate(manifest, 0); err != nil {
		t.Fatal(err)
	}
	q := ask("goal")
	q.Model = b.place.Model
	if _, err := b.c.Chat(t.Context(), q); err == nil {
		t.Fatal("a name with an empty manifest answers")
	}
	if s := b.switchTo(two, one.Digest); !s.Changed || b.answer() != "politics" {
		t.Errorf("%+v, answer %q", s, b.answer())
	}
	// The same when the server is restarted, and the switch is back to the former release.
	if err := os.Truncate(manifest, 0); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Up()
	if b.switchTo(one, two.Digest); b.answer() != "sport" {
		t.Errorf("answer %q", b.answer())
	}
}

// The server is killed and started again at the first request of each kind, while a release is staged and switched to.
// The result is the same as without a kill.
func TestServerKilledAtEachRequest(t *testing.T) {
	t.Parallel()
	server := ollamatest.Start(t)
	seen := map[string]bool{}
	var mu sync.Mutex
	url := ollamatest.Proxy(t, server.URL, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		key := r.Method + " " + strings.TrimRight(r.URL.Path, "0123456789abcdef")
		if !seen[key] && key != "GET /api/version" {
			seen[key] = true
			server.Kill()
			server.Up()
			panic(http.ErrAbortHandler) // ends the connection without an answer
		}
		forward.ServeHTTP(w, r)
	})
	b := newBench(t, url)
	one, two := b.release("goal", "sport"), b.release("goal", "politics")
	b.make(one)
	b.switchTo(one, "")
	clear(seen)
	b.make(two)
	b.switchTo(two, one.Digest)
	if len(seen) < 6 || b.answer() != "politics" {
		t.Errorf("%v, answer %q", seen, b.answer())
	}
}

// Creating a name fails if the answer, with status 200, reports an error or is cut off.
func TestCreateThatFailsInItsStream(t *testing.T) {
	t.Parallel()
	var body atomic.Value
	url := ollamatest.Proxy(t, ollamatest.Real(t), func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if text, _ := body.Load().(string); r.URL.Path == "/api/create" && text != "" {
			_, _ = w.Write([]byte(text))
			return
		}
		forward.ServeHTTP(w, r)
	})
	b := newBench(t, url)
	one := b.release("goal", "sport")
	for text, says := range map[string]string{
		"{\"status\":\"parsing GGUF\"}\n{\"error\":\"write blob: no space left on device\"}\n": "is full",
		"{\"status\":\"parsing GGUF\"}\n": "ended without success",
	} {
		body.Store(text)
		_, err := Make(t.Context(), MakeInput{Place: b.place, Release: one, Ask: ask("goal")}, quiet)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(says, "full") != errors.Is(err, ollama.ErrDiskFull) {
			t.Errorf("%q: %v", text, err)
		}
	}
	body.Store("")
	b.make(one)
}

// Clients that send requests throughout get the former answer until the switch and then the new one, never another. A
// request may fail only while the server writes the name or exchanges the loaded model.
func TestClientsThatAskThroughout(t *testing.T) {
	t.Parallel()
	b := newBench(t, ollamatest.Real(t))
	releases := []Release{b.release("goal", "sport"), b.release("goal", "politics")}
	labels := []string{"sport", "politics"}
	for _, r := range releases {
		b.make(r, releases[0].Digest)
	}
	b.switchTo(releases[0], "")

	// Consecutive refusals count as one interruption: their number depends only on how fast a client asks again.
	var right, wrong, refusals, interruptions, ended atomic.Int64
	var serving atomic.Value // the labels that are correct at present
	serving.Store("sport")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			q := ask("goal")
			q.Model = b.place.Model
			interrupted := false
			for {
				select {
				case <-stop:
					return
				default:
				}
				allowed := serving.Load().(string)
				a, err := b.c.Chat(t.Context(), q)
				allowed += serving.Load().(string) // correct when the request was sent, or when it was answered
				var out struct{ Label string }
				var refused *ollama.Error
				switch {
				case errors.As(err, &refused) && (refused.Status == 404 || refused.Status == 500):
					refusals.Add(1)
					if !interrupted {
						interruptions.Add(1)
					}
					interrupted = true
				case err != nil || json.Unmarshal([]byte(a.Text), &out) != nil || !strings.Contains(allowed, out.Label):
					wrong.Add(1)
					t.Errorf("%q, allowed %s: %v", a.Text, allowed, err)
				default:
					right.Add(1)
					interrupted = false
				}
				ended.Add(1)
			}
		})
	}
	const switches = 4
	for i := 1; i <= switches; i++ {
		serving.Store("sport politics")
		b.switchTo(releases[i%2], releases[(i+1)%2].Digest)
		serving.Store(labels[i%2])
		was := ended.Load()
		waittest.Eventually(t, "the clients ask on", func() bool { return ended.Load() > was+4 })
	}
	close(stop)
	clients.Wait()
	t.Logf("%d right answers, %d wrong, %d refused in %d interruptions, over %d switches", right.Load(), wrong.Load(),
		refusals.Load(), interruptions.Load(), switches)
	if interruptions.Load() > 2*switches { // at most one for each client and switch
		t.Errorf("%d interruptions in %d switches", interruptions.Load(), switches)
	}
}
