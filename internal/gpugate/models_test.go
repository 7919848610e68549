package gpugate

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }

// newGate returns a gate without a driver.
func newGate(t *testing.T) *Gate {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	file := &configs.File{Models: map[string]*configs.Model{"m": {}}}
	return New(Options{
		Store: s, File: func() *configs.File { return file }, Self: "/bin/false", Log: slog.New(slog.DiscardHandler),
		Ledger: ledger.Open(s.Dir()),
	})
}

// A model that steps have unloaded stays unloaded until the run loads it, with its remaining keep-alive.
func TestModelsOfSteps(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		g := newGate(t)
		client, name := ollamatest.Client(t, url), ollamatest.Name(t)
		a, b := name+"-a", name+"-b"
		for _, n := range []string{a, b} {
			ollamatest.Classifier{Else: []string{"news"}, Version: n}.Install(t, url, n, "")
			if err := client.Load(t.Context(), n, 20*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		loaded := func(n string) time.Duration {
			t.Helper()
			running, err := client.Running(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(running, func(r ollama.Running) bool { return r.Name == ollama.Tagged(n) })
			if i < 0 {
				return 0
			}
			return time.Until(running[i].Expires)
		}
		s := actions.GPUStep{Model: "m", Run: "run1", Step: "unload"}
		room := func(n string) actions.Room {
			return actions.Room{
				Stop: []gpu.StopConfig{{Ollama: unit.List{n}, Server: url}}, RunDir: t.TempDir(), UntilEnd: true,
			}
		}
		unload := func(n string) string {
			t.Helper()
			said, err := g.Unload(t.Context(), s, room(n))
			if err != nil {
				t.Fatal(err)
			}
			return said
		}
		restore := func(all bool) string {
			t.Helper()
			said, err := g.Restore(t.Context(), s, nil, all)
			if err != nil {
				t.Fatal(err)
			}
			return said
		}
		if said := unload(a); said != "unloaded Ollama model "+ollama.Tagged(a) || loaded(a) != 0 || loaded(b) == 0 {
			t.Errorf("%s; %s and %s are left", said, loaded(a), loaded(b))
		}
		// A client loads it forever; the repeated step unloads it, and the original keep-alive is still recorded.
		if err := client.Load(t.Context(), a, -1); err != nil {
			t.Fatal(err)
		}
		unload(a)
		unload(b)
		if loaded(a)+loaded(b) != 0 {
			t.Error("still loaded")
		}
		if said := restore(false); said != "nothing to restore" || loaded(a)+loaded(b) != 0 {
			t.Errorf("at the end of the GPU part: %s", said)
		}
		if said, err := g.Reload(t.Context(), s, room(a).Stop[0]); err != nil || !strings.Contains(said, a) || loaded(b) != 0 {
			t.Errorf("%s, %v", said, err)
		}
		if left := loaded(a); left < 10*time.Minute || left > 20*time.Minute {
			t.Errorf("%s came back for %s", a, left)
		}
		if said, err := g.Reload(t.Context(), s, room(a).Stop[0]); err != nil || said != "" {
			t.Errorf("once more: %q, %v", said, err)
		}
		if said := restore(true); !strings.Contains(said, b) || loaded(b) < 10*time.Minute {
			t.Errorf("at the end: %s; %s are left", said, loaded(b))
		}
		if said := unload(name + "-none"); said != "nothing to unload: not loaded" {
			t.Error(said)
		}
	})
}

// A client that sends requests all the time keeps the model loaded: the step is blocked, with the reason.
func TestModelThatStays(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	fake := ollamatest.NewFake(t)
	client := ollamatest.Client(t, fake.URL)
	ollamatest.Classifier{Else: []string{"news"}}.Install(t, fake.URL, "big", "")
	if err := client.Load(t.Context(), "big", time.Hour); err != nil {
		t.Fatal(err)
	}
	m := g.o.File().Models["m"]
	m.GPU = &gpu.Config{StopWithin: unit.Duration(time.Second)}
	url := ollamatest.Proxy(t, fake.URL, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.URL.Path == "/api/generate" { // loaded again before it was seen unloaded
			_, _ = io.WriteString(w, `{"done": true}`)
			return
		}
		forward.ServeHTTP(w, r)
	})
	room := actions.Room{Stop: []gpu.StopConfig{{Ollama: unit.List{"big"}, Server: url}}, RunDir: t.TempDir(), UntilEnd: true}
	_, err := g.Unload(t.Context(), actions.GPUStep{Model: "m", Run: "run1", Step: "unload"}, room)
	var blocked *actions.BlockedError
	if !errors.As(err, &blocked) || !strings.Contains(blocked.Reason, "Ollama model big:latest: a client keeps sending requests to the model") {
		t.Errorf("got %v", err)
	}
}

func TestOllamaTakes(t *testing.T) {
	t.Parallel()
	card := func(uuid string, free uint64, of ...gpu.Process) gpu.Device {
		return gpu.Device{UUID: uuid, Free: gpu.Bytes(free << 30), Processes: of}
	}
	runner := gpu.Process{PID: 7, Name: "ollama"}
	leased, split := card("l", 80), card("s", 80)
	leased.Lease, split.Split = "run 1", true
	for _, c := range []struct {
		devices []gpu.Device
		want    string
	}{
		{nil, ""},
		{[]gpu.Device{leased}, ""},
		{[]gpu.Device{leased, split, card("a", 10), card("b", 20)}, "b"},
		{[]gpu.Device{card("a", 10, runner), card("b", 20)}, "a"},
		{[]gpu.Device{card("a", 20), card("b", 20)}, "a"},
	} {
		got := ""
		if d := ollamaTakes(c.devices); d != nil {
			got = d.UUID
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.devices, got, c.want)
		}
	}
}
