package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Explain implements status.Reader.
func (b *Backend) Explain(ctx context.Context, model, run string, at time.Time) (policy.Decision, error) {
	if run == "" {
		m, err := b.model(model)
		if err != nil {
			return policy.Decision{}, err
		}
		if d := m.Loop.View().Decision; d != nil && (at.IsZero() || !d.At.After(at)) {
			return *d, nil
		}
	}
	until := at
	if at.IsZero() {
		until = time.Now().Add(time.Hour)
	}
	var out policy.Decision
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		if run != "" {
			r, err := t.Run(run)
			if err != nil {
				return whichRun(run, err)
			}
			run = r.ID
		}
		found, err := t.Decisions(model, run, until, 1)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		return json.Unmarshal([]byte(found[0].Body), &out)
	})
	if errors.Is(err, store.ErrNotFound) {
		if run != "" {
			return out, fmt.Errorf("%w: run %q has no recorded decision", status.ErrNotFound, run)
		}
		if !at.IsZero() {
			return out,
				fmt.Errorf("%w: model %s has no recorded decision before %s", status.ErrNotFound, model,
					at.Format(time.DateTime+" MST"))
		}
		return out, fmt.Errorf("%w: model %s has not been evaluated yet", status.ErrNotFound, model)
	}
	return out, err
}

// History implements status.Reader.
func (b *Backend) History(ctx context.Context, model string, since time.Time) ([]status.Point, error) {
	if _, err := b.model(model); err != nil {
		return nil, err
	}
	var out []status.Point
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		reports, err := t.Reports(model, since, 5000)
		for _, r := range reports {
			var full drift.Report
			if err := json.Unmarshal([]byte(r.Body), &full); err != nil {
				return err
			}
			if full.Scored > 0 {
				out = append(out, status.Point{
					At: full.At, Release: full.Release, Accuracy: full.Accuracy, Low: full.Low,
					High: full.High, N: full.Scored,
				})
			}
		}
		return err
	})
	return out, err
}
