package gpugate

import (
	"context"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/notify"
)

// CheckGPU waits until restored containers use the GPU again, and logs the containers that do not.
func (g *Gate) CheckGPU(ctx context.Context, results []ledger.Result) {
	for _, r := range ledger.CheckGPU(ctx, g.probe, results) {
		g.o.Log.Warn("a restored container does not use the GPU", "run_id", r.Entry.Run.ID, "thing", r.Entry.Thing.String(),
			"detail", r.Detail)
	}
}

// Tell publishes the results of a restore: one event for each run with a new result. Unreadable files of the ledger are logged.
func (g *Gate) Tell(ctx context.Context, results []ledger.Result, bad map[string]error) error {
	for file, err := range bad {
		g.o.Log.Error("a file of the ledger of stopped programs cannot be read and was renamed; check that the program that it names is running",
			"file", file, "err", err)
	}
	var order []ledger.Run
	of := map[string]*notify.GPUReturned{}
	fresh := map[string]bool{}
	for _, r := range results {
		run := r.Entry.Run
		data := of[run.ID]
		if data == nil {
			data = &notify.GPUReturned{Run: run.ID}
			of[run.ID] = data
			order = append(order, run)
		}
		data.Things = append(data.Things, notify.ThingReturn{
			Name: r.Entry.Thing.String(), Kind: string(r.Entry.Kind), Ending: string(r.Ending), Detail: r.Detail,
		})
		data.Owed = data.Owed || r.Ending == ledger.Owed
		if r.Ending != ledger.Owed || r.New {
			fresh[run.ID] = true
			log := g.o.Log.Info
			if r.Ending == ledger.Owed {
				log = g.o.Log.Error
			}
			log("result of restoring a stopped program", "model", run.Model, "run_id", run.ID, "thing", r.Entry.Thing.String(),
				"ending", r.Ending, "detail", r.Detail)
		}
	}
	for _, run := range order {
		if !fresh[run.ID] {
			continue
		}
		s := actions.GPUStep{Model: run.Model, Run: run.ID}
		if err := g.tell(ctx, notify.GPURestored, s, *of[run.ID]); err != nil {
			return err
		}
	}
	return nil
}
