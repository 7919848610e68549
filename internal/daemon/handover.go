package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/store"
)

// handOver submits to the engine every run that has not ended. The engine already has these runs, unless its database
// was lost or replaced by an older backup. In that case each of them starts again from its first step, and each step
// finds its earlier result.
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
			d.log.Warn("an open run could not be submitted to the engine", "model", r.Model, "run_id", r.ID, "err", err)
		}
	}
	return nil
}
