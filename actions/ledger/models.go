package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/serving/ollama"
)

// Models is the Hand for models that Ollama has loaded.
type Models struct{}

var _ Hand = Models{}

// forever is a keep-alive that nobody waits for: Ollama writes an expiry centuries away for a negative one.
const forever = 10 * 365 * 24 * time.Hour

// Find returns the loaded models of those names, of all where names is empty. A server that is away has none.
func (Models) Find(ctx context.Context, url string, names []string, now time.Time) ([]Thing, error) {
	server, err := ollama.New(url)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	running, err := server.Running(ctx)
	if errors.Is(err, ollama.ErrAway) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	models, err := server.Models(ctx)
	if err != nil {
		return nil, err
	}
	var things []Thing
	for _, r := range running {
		named := slices.ContainsFunc(names, func(n string) bool { return tagged(n) == tagged(r.Name) })
		// A model that its name does not stand for any more can be neither unloaded nor loaded by that name.
		has := slices.ContainsFunc(models, func(m ollama.Model) bool {
			return tagged(m.Name) == tagged(r.Name) && m.Digest == r.Digest
		})
		if has && (len(names) == 0 || named) && r.Expires.After(now) {
			things = append(things, modelThing(url, r, now))
		}
	}
	return things, nil
}

func modelThing(url string, r ollama.Running, now time.Time) Thing {
	left := r.Expires.Sub(now).Round(time.Second)
	if left > forever {
		left = -1
	}
	return Thing{Kind: KindModel, Loaded: &Loaded{
		URL: url, Name: r.Name, Digest: r.Digest, Left: cmp.Or(left, time.Second), OnGPU: r.Size > 0 && r.VRAM == r.Size,
	}}
}

// tagged is a name with its tag.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// Look implements Hand. Nothing names the instance of a loaded model, so one that is loaded is Untouched.
func (Models) Look(ctx context.Context, t Thing) (State, error) {
	server, err := ollama.New(t.Loaded.URL)
	if err != nil {
		return State{}, err
	}
	defer server.Close()
	running, err := server.Running(ctx)
	if errors.Is(err, ollama.ErrAway) {
		return State{Standing: Off, Detail: err.Error()}, nil
	}
	if err != nil {
		return State{}, err
	}
	now := time.Now()
	for _, r := range running {
		switch {
		case tagged(r.Name) != tagged(t.Loaded.Name) || r.Digest != t.Loaded.Digest:
		case !r.Expires.After(now):
			return State{Standing: Leaving, Detail: "Ollama is stopping it, and a request still uses it"}, nil
		default:
			s := State{Standing: Untouched, Ready: true, Thing: modelThing(t.Loaded.URL, r, now)}
			if t.Loaded.OnGPU && r.VRAM < r.Size {
				s.Detail = fmt.Sprintf("%d %% of it are on the GPU, where it was wholly before", 100*r.VRAM/max(1, r.Size))
			}
			return s, nil
		}
	}
	models, err := server.Models(ctx)
	if err != nil {
		return State{}, err
	}
	i := slices.IndexFunc(models, func(had ollama.Model) bool { return tagged(had.Name) == tagged(t.Loaded.Name) })
	switch {
	case i < 0:
		return State{Standing: Gone, Detail: "Ollama does not have it any more"}, nil
	case models[i].Digest != t.Loaded.Digest:
		return State{Standing: Exchanged, Detail: "the name stands for another model"}, nil
	}
	return State{Standing: Off}, nil
}

// Stop implements Hand. It asks for the unloading, which comes when the last request that uses the model has ended.
func (Models) Stop(ctx context.Context, t Thing) error {
	server, err := ollama.New(t.Loaded.URL)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := server.Unload(ctx, t.Loaded.Name); err != nil && !errors.Is(err, ollama.ErrAway) {
		return err
	}
	return nil
}

// Start implements Hand.
func (Models) Start(ctx context.Context, t Thing) error {
	server, err := ollama.New(t.Loaded.URL)
	if err != nil {
		return err
	}
	defer server.Close()
	return server.Load(ctx, t.Loaded.Name, t.Loaded.Left)
}
