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

// own lists the loaded models that a run's own steps have queried and that no entry of the ledger contains. These
// models are unloaded and not loaded again.
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

// unloadOwn unloads the models that a run's own steps have loaded, so that the restored things find the GPU as it was
// before. If a model cannot be unloaded now, Ollama unloads it at the end of its keep-alive.
func (g *Gate) unloadOwn(ctx context.Context, s actions.GPUStep, asked []actions.AskedModel) {
	own, err := g.own(ctx, asked)
	for _, e := range own {
		if err == nil {
			err = g.o.Ledger.Stop(ctx, e.Thing)
		}
	}
	if err != nil && ctx.Err() == nil {
		g.o.Log.Warn("cannot unload models that the run has loaded", "model", s.Model, "run_id", s.Run, "err", err)
	}
}

// titles returns the names of the things in the entries.
func titles(entries []ledger.Entry) string {
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Thing.String())
	}
	return strings.Join(slices.Compact(names), ", ")
}
