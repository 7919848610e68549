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

// Models implements Hand for the models that Ollama has loaded.
type Models struct{}

var _ Hand = Models{}

// forever is the remaining keep-alive above which a model counts as loaded forever: for a negative keep-alive, Ollama
// reports an expiry centuries ahead.
const forever = 10 * 365 * 24 * time.Hour

// Find returns the loaded models that have one of the names, or all loaded models if names is empty. If the server
// cannot be reached, it returns none.
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
		name := tagged(r.Name)
		named := slices.ContainsFunc(names, func(n string) bool { return tagged(n) == name })
		known := slices.ContainsFunc(things, func(t Thing) bool { return t.Loaded.Name == name })
		digest := digestOf(models, name)
		if known || digest == "" || len(names) > 0 && !named || !r.Expires.After(now) {
			continue // listed twice, deleted, not named, or being unloaded
		}
		things = append(things, modelThing(url, digest, r, now))
	}
	return things, nil
}

// digestOf returns the digest that a name refers to now, "" if there is no such name. The list of loaded models cannot
// be used for that: after the name was given to another model with the same file, this list still has the former
// digest.
func digestOf(models []ollama.Model, name string) string {
	for _, m := range models {
		if tagged(m.Name) == name {
			return m.Digest
		}
	}
	return ""
}

func modelThing(url, digest string, r ollama.Running, now time.Time) Thing {
	left := r.Expires.Sub(now).Round(time.Second)
	if left > forever {
		left = -1
	}
	return Thing{Kind: KindModel, Loaded: &Loaded{
		URL: url, Name: tagged(r.Name), Digest: digest, Left: cmp.Or(left, time.Second), OnGPU: r.Size > 0 && r.VRAM == r.Size,
	}}
}

// tagged returns a name with its tag; the default is latest.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// Look implements Hand. Ollama has no instance ids, so it never returns Again.
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
	models, err := server.Models(ctx)
	if err != nil {
		return State{}, err
	}
	name, now := tagged(t.Loaded.Name), time.Now()
	switch digestOf(models, name) {
	case t.Loaded.Digest:
	case "":
		return State{Standing: Gone, Detail: "Ollama does not have it any more"}, nil
	default:
		return State{Standing: Exchanged, Detail: "the name refers to another model"}, nil
	}
	for _, r := range running {
		switch {
		case tagged(r.Name) != name:
		case !r.Expires.After(now):
			return State{Standing: Leaving, Detail: "Ollama is unloading it, but a request still uses it"}, nil
		default:
			s := State{Standing: Untouched, Ready: true, Thing: modelThing(t.Loaded.URL, t.Loaded.Digest, r, now)}
			if t.Loaded.OnGPU && r.VRAM < r.Size {
				s.Detail = fmt.Sprintf("only %d%% of the model is on the GPU; before the run, all of it was", 100*r.VRAM/max(1, r.Size))
			}
			return s, nil
		}
	}
	return State{Standing: Off}, nil
}

// Stop implements Hand. Ollama unloads the model when the last request that uses it has ended.
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
