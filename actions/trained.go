package actions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
)

// keepTrained records a run's training items. The record is kept for as long as the run's release may be deployed.
func (x *Executor) keepTrained(ctx context.Context, p Plan, seen *drift.Seen) error {
	b, err := seen.MarshalBinary()
	if err != nil {
		return err
	}
	return x.durably(ctx, func() error {
		return x.Store.Update(ctx, "trained on", func(t *store.Tx) error { return t.PutTrained(p.Model, p.Run, b) })
	})
}

// trainedElsewhere records the training items of a pipeline without an export step, from the files that the user's own
// export wrote into the data directory. Without such files it records nothing.
func (x *Executor) trainedElsewhere(ctx context.Context, p Plan) error {
	seen := &drift.Seen{}
	for _, side := range []drift.Side{drift.SideTrain, drift.SideValidation} {
		path := filepath.Join(p.dataDir(), string(side)+".jsonl")
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = x.Source.ReadTrained(p.Model, f, seen)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if seen.Len() == 0 {
		return nil
	}
	return x.keepTrained(ctx, p, seen)
}

// unseen returns the held-out items that neither candidate nor champion was trained on, by which the two can be
// compared. It also returns the number of the other held-out items.
func (x *Executor) unseen(ctx context.Context, p Plan, items []heldItem) ([]drift.LabelChange, int, error) {
	var trained []*drift.Seen
	err := x.Store.View(ctx, func(t *store.Tx) error {
		runs := []string{p.Run}
		if p.Champion != "" {
			r, err := t.Release(p.Model, p.Champion)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			runs = append(runs, r.Run)
		}
		for _, run := range runs {
			seen, err := ReadTrained(t, p.Model, run)
			if err != nil {
				return err
			}
			if seen != nil {
				trained = append(trained, seen)
			}
		}
		return nil
	})
	out, leaked := make([]drift.LabelChange, 0, len(items)), 0
	for _, it := range items {
		known := false
		for _, seen := range trained {
			known = known || seen.Has(it.Item, it.Group)
		}
		if known {
			leaked++
			continue
		}
		out = append(out, it.LabelChange)
	}
	return out, leaked, err
}

// ReadTrained returns a run's training items, nil if unknown.
func ReadTrained(t *store.Tx, model, run string) (*drift.Seen, error) {
	b, err := t.Trained(model, run)
	if err != nil || b == nil {
		return nil, err
	}
	seen := &drift.Seen{}
	if err := seen.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("run %s: %w", run, err)
	}
	return seen, nil
}
