package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/retraind/retraind/internal/evaluator"
)

// signals handles the requests to reload, force, audit and evaluate, and changes of the configuration's files.
func (d *Daemon) signals(ctx context.Context) error {
	changed := watchFiles(ctx, d.watched, d.contents(), d.log)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.o.Reload:
			_ = d.reload(ctx, "SIGHUP") // logged and shown by reload itself
		case <-changed:
			_ = d.reload(ctx, fileChanged)
		case <-d.o.Force:
			for _, m := range d.models {
				var held *evaluator.HeldError
				switch err := m.Loop.Demand(ctx, evaluator.Demand{By: "SIGUSR1", At: time.Now().UTC()}, ""); {
				case errors.As(err, &held):
					d.log.Warn("the forced retrain is refused", "model", m.Name, "why", held.Error())
				case err != nil:
					d.log.Error("the forced retrain could not be recorded", "model", m.Name, "err", err)
				}
			}
		case <-d.o.Audit:
			for _, m := range d.models {
				m.Loop.Audit()
			}
		case <-d.o.Evaluate:
			for _, m := range d.models {
				m.Loop.Evaluate()
			}
		}
	}
}
