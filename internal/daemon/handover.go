package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/store"
)

// handOver gives the engine every run that has not ended. It has them already, unless its database was lost or an older
// backup of it brought back: then the run is entered anew from its start, where each step finds what it did before.
func (d *Daemon) handOver(ctx context.Context) error {
	var open []store.Run
	if err := d.store.View(ctx, func(t *store.Tx) (err error) { open, err = t.OpenRuns(); return err }); err != nil {
		return err
	}
	for _, r := range open {
		var plan actions.Plan
		if err := json.Unmarshal([]byte(r.Plan), &plan); err != nil {
			return fmt.Errorf("plan of run %s: %w", r.ID, err)
		}
		if err := d.engine.Submit(plan); err != nil {
			d.log.Warn("a run that is open could not be handed over", "model", r.Model, "run_id", r.ID, "err", err)
		}
	}
	return nil
}
