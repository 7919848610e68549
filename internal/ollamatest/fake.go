package ollamatest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fake is an Ollama server in the test's own process, with the answers and the errors of the real one. It downloads
// nothing, loads models at once, and has a GPU.
type Fake struct {
	URL string
	// Stop stops the server before the test ends.
	Stop func()

	mu      sync.Mutex // guards the fields below
	version string
	blobs   map[string][]byte
	models  map[string]manifest // by name with tag
	running map[string]loaded   // by digest of the model file
	fault   func(*http.Request) (int, string)
	vram    func(size int64) int64
	asked   map[string]int // requests by path
}

// manifest describes the model that is stored under a name. A copy under another name is equal and has the same digest.
type manifest struct {
	Blob, Template, System string
	Parameters             map[string]any
}

func (m manifest) digest() string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return digest(b)
}

type loaded struct {
	name    string
	model   manifest
	expires time.Time
}

// NewFake starts a fake server. It is stopped at the end of the test.
func NewFake(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{
		version: "0.17.4", blobs: map[string][]byte{}, models: map[string]manifest{}, running: map[string]loaded{},
		vram: func(size int64) int64 { return size }, asked: map[string]int{},
	}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(*Fake, http.ResponseWriter, *http.Request){
		"GET /api/version": (*Fake).getVersion, "GET /api/tags": (*Fake).getTags, "GET /api/ps": (*Fake).getRunning,
		"POST /api/show": (*Fake).show, "POST /api/copy": (*Fake).copy, "DELETE /api/delete": (*Fake).delete,
		"POST /api/create": (*Fake).create, "POST /api/chat": (*Fake).chat, "POST /api/generate": (*Fake).generate,
		"HEAD /api/blobs/{digest}": (*Fake).hasBlob, "POST /api/blobs/{digest}": (*Fake).putBlob,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.asked[r.URL.Path]++
			fault := f.fault
			f.mu.Unlock()
			if fault != nil {
				if status, body := fault(r); status != 0 {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body)
					return
				}
			}
			h(f, w, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.URL, f.Stop = server.URL, server.Close
	return f
}

// Break sets a function that may answer requests in place of the server: if its status is not 0, its status and body
// are the answer. nil removes it.
func (f *Fake) Break(fault func(*http.Request) (status int, body string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Upgrade changes the server's version.
func (f *Fake) Upgrade(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = version
}

// OnGPU sets a function that returns how many bytes of a model are on the GPU.
func (f *Fake) OnGPU(share func(size int64) int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vram = share
}

// Asked counts the requests for a path.
func (f *Fake) Asked(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// tagged returns a name with its tag, which is latest by default.
func tagged(name string) string {
	if strings.LastIndexByte(name, ':') <= strings.LastIndexByte(name, '/') {
		name += ":latest"
	}
	return name
}

func say(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}

// hear decodes a request; if that fails it answers with an error and returns false.
func hear(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

func (f *Fake) getVersion(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	say(w, map[string]string{"version": f.version})
}

func (f *Fake) getTags(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(f.models)) {
		m := f.models[name]
		list = append(list, map[string]any{
			"name": name, "model": name, "digest": strings.TrimPrefix(m.digest(), "sha256:"), "size": len(f.blobs[m.Blob]),
			"details": details,
		})
	}
	say(w, map[string]any{"models": list})
}

var details = map[string]string{"format": "gguf", "family": "qwen3"}

func (f *Fake) getRunning(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []map[string]any{}
	for _, blob := range slices.Sorted(maps.Keys(f.running)) {
		l := f.running[blob]
		if !time.Now().Before(l.expires) {
			delete(f.running, blob)
			continue
		}
		size := int64(len(f.blobs[blob]))
		list = append(list, map[string]any{
			"name": l.name, "model": l.name, "digest": strings.TrimPrefix(l.model.digest(), "sha256:"), "size": size,
			"size_vram": f.vram(size), "expires_at": l.expires, "context_length": classifierIn(f.blobs[blob]).context(),
		})
	}
	say(w, map[string]any{"models": list})
}
