package gpu_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/waittest"
)

// engine serves the Docker API on a socket and counts the requests.
func engine(t *testing.T, answer http.HandlerFunc) (socket string, asked *atomic.Int32) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodGet {
			t.Errorf("%s %s: the engine may only be read", r.Method, r.URL)
		}
		answer(w, r)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return socket, asked
}

func TestComposeServices(t *testing.T) {
	t.Parallel()
	ours, plain := strings.Repeat("a", 64), strings.Repeat("b", 64)
	socket, asked := engine(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/containers/" + ours + "/json":
			fmt.Fprint(
				w,
				`{"Id":"a","Config":{"Labels":{"com.docker.compose.project":"news","com.docker.compose.service":"backend"}}}`,
			)
		case "/containers/" + plain + "/json":
			fmt.Fprint(w, `{"Id":"b","Config":{"Labels":null}}`)
		default:
			http.NotFound(w, r)
		}
	})
	names := &gpu.Namer{Docker: socket, Patience: waittest.Patience}
	for range 3 {
		devices := []gpu.Device{{Processes: []gpu.Process{
			{PID: 1, Name: "python3", Holder: gpu.Holder{Container: ours}},
			{PID: 2, Name: "python3", Holder: gpu.Holder{Container: plain}},
		}}}
		names.Complete(t.Context(), devices)
		if p := devices[0].Processes[0]; p.Project != "news" || p.Service != "backend" {
			t.Errorf("got %+v", p)
		}
		if p := devices[0].Processes[1]; p.Project != "" || p.Kind() != gpu.KindContainer {
			t.Errorf("got %+v", p)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the engine was asked %d times about two containers", n)
	}
}

func TestOllamaModels(t *testing.T) {
	t.Parallel()
	ps := `{"models":[{"name":"small:1b","size_vram":1000000000},{"name":"on-cpu:3b","size_vram":0},{"name":"qwen3:14b","size_vram":16000000000}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/ps" || r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		fmt.Fprint(w, ps)
	}))
	t.Cleanup(server.Close)
	names := &gpu.Namer{Ollama: func() string { return server.URL }, Patience: waittest.Patience}
	two := []gpu.Device{{Processes: []gpu.Process{
		{
			PID:  1,
			Name: "ollama",
			Used: gpu.Bytes(2 * gib),
		}, {PID: 2, Name: "ollama", Used: gpu.Bytes(17 * gib)}, {PID: 3, Name: "python3", Used: gpu.Bytes(gib)},
	}}}
	names.Complete(t.Context(), two)
	for i, want := range []string{"small:1b", "qwen3:14b", ""} {
		if got := two[0].Processes[i].Model; got != want {
			t.Errorf("process %d has model %q, want %q", i+1, got, want)
		}
	}
	// One runner more than there are models: any name could be the wrong one.
	three := []gpu.Device{{Processes: []gpu.Process{
		{
			PID:  1,
			Name: "ollama",
			Used: gpu.Bytes(2 * gib),
		}, {PID: 2, Name: "ollama", Used: gpu.Bytes(17 * gib)}, {PID: 3, Name: "ollama", Used: gpu.Bytes(gib)},
	}}}
	names.Complete(t.Context(), three)
	for _, p := range three[0].Processes {
		if p.Model != "" {
			t.Errorf("got %+v", p)
		}
	}
}

// A helper in front of the engine shows the configured services only: it is asked once about any other container.
func TestContainersThatAreNotShown(t *testing.T) {
	t.Parallel()
	socket, asked := engine(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"container x belongs to none of the configured services"}`, http.StatusForbidden)
	})
	names := &gpu.Namer{Docker: socket, Patience: waittest.Patience}
	for range 3 {
		devices := []gpu.Device{{Processes: []gpu.Process{
			{PID: 1, Name: "python3", Holder: gpu.Holder{Container: strings.Repeat("a", 64)}},
		}}}
		names.Complete(t.Context(), devices)
		if p := devices[0].Processes[0]; p.Kind() != gpu.KindContainer || p.Who() != "python3 in container aaaaaaaaaaaa" {
			t.Errorf("got %+v", p)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A service that does not answer costs at most half a second, and the holder keeps its name from /proc.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	nowhere := func() string { return "http://127.0.0.1:1" }
	socket, _ := engine(t, func(http.ResponseWriter, *http.Request) { <-never })
	t.Cleanup(func() { close(never) })
	for name, names := range map[string]*gpu.Namer{
		"silent": {Docker: socket, Ollama: nowhere},
		"absent": {Docker: "/nonexistent/docker.sock", Ollama: nowhere},
		"off":    {},
	} {
		devices := []gpu.Device{{Processes: []gpu.Process{
			{PID: 1, Name: "python3", Holder: gpu.Holder{Container: strings.Repeat("a", 64)}},
			{PID: 2, Name: "ollama", Holder: gpu.Holder{Unit: "ollama.service"}},
		}}}
		began := time.Now()
		names.Complete(t.Context(), devices)
		if took := time.Since(began); took > waittest.Patience {
			t.Errorf("%s: took %s", name, took)
		}
		if p := devices[0].Processes; p[0].Project != "" || p[1].Model != "" || p[1].Unit != "ollama.service" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
