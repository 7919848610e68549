package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// AcceptLabels implements status.Backend.
func (b *Backend) AcceptLabels(_ context.Context, model, by string) error {
	m, err := b.model(model)
	if err != nil {
		return err
	}
	if !m.Intake.AcceptShrink() {
		return fmt.Errorf("%w: nothing to accept: the last full read of the table of model %s did not miss too many items",
			status.ErrRefused, model)
	}
	b.o.Log.Warn("the missing items of a full read are accepted as deleted", "model", model, "by", by)
	m.Intake.Retry()
	return nil
}

// AddLabels implements status.Backend.
func (b *Backend) AddLabels(ctx context.Context, model string, events []byte, by, run string) (status.Added, error) {
	m, err := b.model(model)
	if err != nil {
		return status.Added{}, err
	}
	c := b.o.Loaded().File.Models[model]
	decoder := c.Labels.Decoder(labelevent.Mapping{}, c.Serving.List(), c.Heldout.Group)
	var added status.Added
	taken, rejected := decoder.DecodeBody(events, "", time.Now().UTC())
	added.Rejected = rejected
	if len(taken) == 0 {
		return added, nil
	}
	by, _, _ = strings.Cut(by, " (") // "anna (uid 1000, pid 4711)" becomes "anna"
	for i := range taken {
		if taken[i].Author == "" {
			taken[i].Author = by
		}
		if run != "" {
			taken[i].Origin = watch.OriginOf(run)
		}
	}
	if added.Receipt, err = m.Intake.Take(ctx, watch.Batch{Source: watch.SourceCLI, Events: taken}); err != nil {
		return added, err
	}
	m.Changes.Poke(added.Taken)
	return added, nil
}
