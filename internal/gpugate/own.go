package gpugate

import (
	"context"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

// own lists the loaded models that a run's own steps have asked and that nobody is owed: they leave the GPU, and are not
// loaded again.
func (g *Gate) own(ctx context.Context, asked []actions.AskedModel) ([]ledger.Entry, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	owed, _, err := g.o.Ledger.Entries()
	if err != nil {
		return nil, err
	}
	var list []ledger.Entry
	known := map[string]bool{}
	for _, e := range owed {
		known[e.Key()] = true
	}
	for _, m := range asked {
		things, err := g.o.Ledger.Find(ctx, gpu.StopConfig{Ollama: unit.List{gpu.AllModels}, Server: m.URL})
		if err != nil {
			return nil, err
		}
		for _, t := range things {
			if m.Is(t.Loaded.Name) && !known[t.Key()] {
				known[t.Key()] = true
				list = append(list, ledger.Entry{Thing: t})
			}
		}
	}
	return list, nil
}

// unloadOwn unloads what a run's own steps have loaded, so that what comes back finds the GPU as it was. A model that cannot
// be unloaded leaves by itself later.
func (g *Gate) unloadOwn(ctx context.Context, s actions.GPUStep, asked []actions.AskedModel) {
	own, err := g.own(ctx, asked)
	for _, e := range own {
		if err == nil {
			err = g.o.Ledger.Stop(ctx, e.Thing)
		}
	}
	if err != nil && ctx.Err() == nil {
		g.o.Log.Warn("models that the run has asked stay loaded for now", "model", s.Model, "run_id", s.Run, "err", err)
	}
}

// titles names the things of entries.
func titles(entries []ledger.Entry) string {
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Thing.String())
	}
	return strings.Join(slices.Compact(names), ", ")
}
