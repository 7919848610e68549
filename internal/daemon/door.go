package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// answered finds the answer to a request that was carried out already.
func (b backend) answered(ctx context.Context, verb, model, id string) (t status.Triggered, ok bool, err error) {
	if id == "" {
		return t, false, nil
	}
	err = b.d.store.View(ctx, func(tx *store.Tx) error {
		r, err := tx.RequestOf(id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case r.Verb != verb || r.Model != model:
			return &status.Refusal{Code: 409, Text: fmt.Sprintf("the id %q was used for a %s of model %s", id, r.Verb, r.Model)}
		}
		ok = true
		return json.Unmarshal(r.Answer, &t)
	})
	return t, ok, err
}

// AddLabels implements status.Backend.
func (b backend) AddLabels(ctx context.Context, model string, events []byte, by, run string) (status.Added, error) {
	k, err := b.keeper(model)
	if err != nil {
		return status.Added{}, err
	}
	m := b.d.loaded.Load().File.Models[model]
	decoder := labelevent.NewDecoder(labelevent.Mapping{}, m.Serving.List(), m.Heldout.Group)
	var added status.Added
	taken, rejected := decoder.DecodeBody(events, "", time.Now().UTC())
	added.Rejected = rejected
	if len(taken) == 0 {
		return added, nil
	}
	by, _, _ = strings.Cut(by, " (") // the person, not the process
	for i := range taken {
		if taken[i].Author == "" {
			taken[i].Author = by
		}
		if run != "" {
			taken[i].Origin = watch.OriginOf(run)
		}
	}
	if added.Receipt, err = k.sink.Take(ctx, watch.Batch{Source: watch.SourceCLI, Events: taken}); err != nil {
		return added, err
	}
	k.coal.Poke(added.Taken)
	return added, nil
}
