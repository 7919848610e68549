package gpugate

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/ollamatest"
)

// A model that several entries of gpu.stop name is recorded once.
func TestNamedTwice(t *testing.T) {
	t.Parallel()
	g, server := newGate(t), ollamatest.NewFake(t)
	ollamatest.Classifier{Else: []string{"news"}}.Install(t, server.URL, "big", "")
	if err := ollamatest.Client(t, server.URL).Load(t.Context(), "big", time.Hour); err != nil {
		t.Fatal(err)
	}
	stop := []gpu.StopConfig{
		{Ollama: []string{"big"}, Server: server.URL}, {Ollama: []string{gpu.AllModels}, Server: server.URL},
	}
	s := actions.GPUStep{Model: "m", Run: "run1", Step: "train"}
	entries, _, err := g.stopThings(t.Context(), s, actions.Room{Stop: stop, RunDir: t.TempDir()}, nil, time.Minute)
	if err != nil || len(entries) != 1 {
		t.Errorf("stopped %v, %v", entries, err)
	}
}

// Models that clients had loaded are restored; those that the run itself has loaded are only unloaded.
func TestOwnModels(t *testing.T) {
	t.Parallel()
	server := ollamatest.NewFake(t)
	client := ollamatest.Client(t, server.URL)
	file := ollamatest.Classifier{Words: map[string][]string{"goal": {"sport"}}, Else: []string{"politics"}}
	load := func(name string, keep time.Duration) {
		t.Helper()
		if err := client.Load(t.Context(), name, keep); err != nil {
			t.Fatal(err)
		}
	}
	loaded := func() (names []string) {
		t.Helper()
		running, err := client.Running(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range running {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		return names
	}
	for _, name := range []string{"big", "liga", "liga:r-12", "other"} {
		file.Version = name // a different file for each
		file.Install(t, server.URL, name, "")
	}
	l := ledger.Open(t.TempDir())
	g := &Gate{o: Options{Ledger: l, Log: slog.New(slog.DiscardHandler)}}
	s := actions.GPUStep{Model: "m", Run: "run1", Step: "train"}
	stop := []gpu.StopConfig{{Ollama: []string{gpu.AllModels}, Server: server.URL}}
	big := actions.AskedModel{URL: server.URL, Name: "big"}
	liga := actions.AskedModel{URL: server.URL, Name: "liga", Releases: true}
	stopped := func(asked ...actions.AskedModel) (owed, own []string) {
		t.Helper()
		room := actions.Room{Stop: stop, RunDir: t.TempDir(), Asked: asked}
		entries, mine, err := g.stopThings(t.Context(), s, room, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			owed = append(owed, e.Loaded.Name)
		}
		for _, e := range mine {
			own = append(own, e.Loaded.Name)
		}
		slices.Sort(owed)
		slices.Sort(own)
		return owed, own
	}

	// Before the first step every loaded model counts as one of the clients, even one that the run will ask.
	load("liga", time.Hour)
	load("big", -1)
	if owed, own := stopped(); !slices.Equal(owed, []string{"big:latest", "liga:latest"}) || own != nil {
		t.Errorf("at the start: owed %v, own %v", owed, own)
	}
	if n := loaded(); n != nil {
		t.Errorf("still loaded: %v", n)
	}
	// The run asks big, which is in the ledger with an unlimited keep-alive, and a candidate; a client asks other.
	load("big", time.Hour)
	load("liga:r-12", time.Hour)
	load("other", time.Hour)
	if owed, own := stopped(big, liga); !slices.Equal(owed, []string{"big:latest", "other:latest"}) ||
		!slices.Equal(own, []string{"liga:r-12"}) {
		t.Errorf("in the middle: owed %v, own %v", owed, own)
	}
	if n := loaded(); n != nil {
		t.Errorf("still loaded: %v", n)
	}
	// At the end the candidate is unloaded, and the models of clients are restored.
	load("liga:r-12", time.Hour)
	g.unloadOwn(t.Context(), s, []actions.AskedModel{big, liga})
	results, _, err := l.Restore(t.Context(), ledger.Order{})
	if err != nil || len(results) != 3 {
		t.Errorf("%v, %v", results, err)
	}
	if n := loaded(); !slices.Equal(n, []string{"big:latest", "liga:latest", "other:latest"}) {
		t.Errorf("loaded at the end: %v", n)
	}
	running, err := client.Running(t.Context())
	for _, r := range running {
		if r.Name == "big:latest" && time.Until(r.Expires) < 24*time.Hour {
			t.Errorf("big was loaded to stay, and is until %v; %v", r.Expires, err)
		}
	}
}
