package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// backend is the daemon as the faces see it: it reads the store and the keepers' views and changes nothing by itself.
type backend struct{ d *Daemon }

var _ status.Backend = backend{}

func (b backend) keeper(model string) (*keeper, error) {
	k, ok := b.d.keeper(model)
	if !ok {
		return nil, fmt.Errorf("%w: no model %q is configured; configured: %s", status.ErrNotFound, model, strings.Join(b.d.loaded.Load().File.Names(), ", "))
	}
	return k, nil
}

// Explain implements status.Reader.
func (b backend) Explain(ctx context.Context, model, run string, at time.Time) (policy.Decision, error) {
	if run == "" {
		k, err := b.keeper(model)
		if err != nil {
			return policy.Decision{}, err
		}
		if d := k.look().decision; d != nil && (at.IsZero() || !d.At.After(at)) {
			return *d, nil
		}
	}
	until := at
	if at.IsZero() {
		until = time.Now().Add(time.Hour)
	}
	var out policy.Decision
	err := b.d.store.View(ctx, func(t *store.Tx) error {
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
			return out, fmt.Errorf("%w: run %q has no decision on record", status.ErrNotFound, run)
		}
		if !at.IsZero() {
			return out, fmt.Errorf("%w: nothing is on record about model %s from before %s", status.ErrNotFound, model, at.Format(time.DateTime+" MST"))
		}
		return out, fmt.Errorf("%w: model %s has not been evaluated yet", status.ErrNotFound, model)
	}
	return out, err
}

// History implements status.Reader.
func (b backend) History(ctx context.Context, model string, since time.Time) ([]status.Point, error) {
	if _, err := b.keeper(model); err != nil {
		return nil, err
	}
	var out []status.Point
	err := b.d.store.View(ctx, func(t *store.Tx) error {
		reports, err := t.Reports(model, since, 5000)
		for _, r := range reports {
			var full drift.Report
			if err := json.Unmarshal([]byte(r.Body), &full); err != nil {
				return err
			}
			if full.Scored > 0 {
				out = append(out, status.Point{At: full.At, Release: full.Release, Accuracy: full.Accuracy, Low: full.Low, High: full.High, N: full.Scored})
			}
		}
		return err
	})
	return out, err
}

// Runs implements status.Reader.
func (b backend) Runs(ctx context.Context, model string, limit int) ([]status.Run, error) {
	if model != "" {
		if _, err := b.keeper(model); err != nil {
			return nil, err
		}
	}
	var out []status.Run
	err := b.d.store.View(ctx, func(t *store.Tx) error {
		runs, err := t.Runs(model, limit)
		if err != nil {
			return err
		}
		for _, r := range runs {
			shown, err := showRun(t, r)
			if err != nil {
				return err
			}
			out = append(out, shown)
		}
		return nil
	})
	return out, err
}

// Run implements status.Reader.
func (b backend) Run(ctx context.Context, id string) (status.Run, error) {
	var out status.Run
	err := b.d.store.View(ctx, func(t *store.Tx) error {
		r, err := t.Run(id)
		if err != nil {
			return err
		}
		out, err = showRun(t, r)
		return err
	})
	return out, whichRun(id, err)
}

// whichRun says it where a run's id, or the end of one, does not name one run.
func whichRun(id string, err error) error {
	switch {
	case errors.Is(err, store.ErrSeveral):
		return fmt.Errorf("%w: the ids of several runs end in %q: write more of it; see: retraind runs list", status.ErrNotFound, id)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: no run's id ends in %q; see: retraind runs list", status.ErrNotFound, id)
	}
	return err
}

// Releases implements status.Reader.
func (b backend) Releases(ctx context.Context, model string) ([]status.Release, error) {
	if _, err := b.keeper(model); err != nil {
		return nil, err
	}
	var out []status.Release
	err := b.d.store.View(ctx, func(t *store.Tx) error {
		releases, err := t.Releases(model, 100)
		for _, r := range releases {
			var g actions.GateFacts
			if err := json.Unmarshal([]byte(r.Metrics), &g); err != nil {
				return err
			}
			out = append(out, status.Release{Digest: r.Digest, Run: r.Run, State: r.State, Created: r.Created, Accuracy: compared(&g)})
		}
		return err
	})
	return out, err
}

// Subscribe implements status.Reader.
func (b backend) Subscribe(ctx context.Context) <-chan status.Event { return b.d.feed.follow(ctx) }

// Trigger implements status.Backend.
func (b backend) Trigger(ctx context.Context, model string, r status.Request) (status.Triggered, error) {
	k, err := b.keeper(model)
	if err != nil {
		return status.Triggered{}, err
	}
	if err := r.Fresh(time.Now()); err != nil {
		return status.Triggered{}, err
	}
	if t, ok, err := b.answered(ctx, "trigger", model, r.ID); ok || err != nil {
		return t, err
	}
	file := b.d.loaded.Load().File
	if r.Pipeline == "" {
		r.Pipeline = configs.DefaultPipeline
	}
	if _, ok := file.Models[model].Pipeline[r.Pipeline]; !ok {
		return status.Triggered{}, fmt.Errorf("%w: model %s has no pipeline %q; it has %s", status.ErrNotFound, model, r.Pipeline, strings.Join(slices.Sorted(maps.Keys(file.Models[model].Pipeline)), ", "))
	}
	var open string
	var row store.Model
	if err := b.d.store.View(ctx, func(t *store.Tx) error {
		runs, err := t.OpenRuns()
		for _, o := range runs {
			if o.Model == model {
				open = o.ID
			}
		}
		if err == nil {
			row, err = t.Model(model)
		}
		return err
	}); err != nil {
		return status.Triggered{}, err
	}
	if open != "" {
		return status.Triggered{}, &status.Refusal{Code: 409, Text: fmt.Sprintf("run %s of model %s has not ended; wait for it or cancel it", open, model)}
	}
	if err := refuseHeld(model, row); err != nil {
		return status.Triggered{}, err
	}
	if r.Reason == "" {
		r.Reason = "asked for"
	}
	if err := k.demand(ctx, force{By: r.By, Reason: r.Reason, Pipeline: r.Pipeline, At: time.Now().UTC()}, r.ID); err != nil {
		return status.Triggered{}, err
	}
	t, err := b.awaitRun(ctx, model)
	if err == nil && r.ID != "" {
		err = b.d.store.Update(ctx, "request", func(tx *store.Tx) error {
			return tx.AddRequest(store.Request{ID: r.ID, Verb: "trigger", Model: model, Answer: json.RawMessage(mustJSON(t))}, time.Now())
		})
	}
	return t, err
}

// awaitRun waits until the loop has created the run, which takes one round.
func (b backend) awaitRun(ctx context.Context, model string) (status.Triggered, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var open store.Run
		var waiting string
		err := b.d.store.View(ctx, func(t *store.Tx) error {
			runs, err := t.OpenRuns()
			if err != nil {
				return err
			}
			for _, o := range runs {
				if o.Model == model && o.Pipeline != pipelineBack { // that goes first, and the demand stays
					open = o
				}
			}
			row, err := t.Model(model)
			waiting = row.Force
			return err
		})
		if err == nil && open.ID != "" {
			return status.Triggered{Run: open.ID, Text: "run " + open.ID + " begins now"}, nil
		}
		if err == nil && waiting == "" { // it began and ended already
			runs, err := b.Runs(ctx, model, 1)
			if err == nil && len(runs) == 1 {
				return status.Triggered{Run: runs[0].ID, Text: "run " + runs[0].ID + " has " + runs[0].Outcome}, nil
			}
		}
		select {
		case <-ctx.Done():
			return status.Triggered{Text: "the retrain is demanded and begins as soon as the loop comes round"}, nil
		case <-tick.C:
		}
	}
}

// Evaluate implements status.Backend.
func (b backend) Evaluate(ctx context.Context, model string) (drift.Report, error) {
	k, err := b.keeper(model)
	if err != nil {
		return drift.Report{}, err
	}
	tell := make(chan drift.Report, 1)
	select {
	case k.tell <- tell:
	case <-ctx.Done():
		return drift.Report{}, context.Cause(ctx)
	}
	select {
	case r, ok := <-tell:
		if !ok {
			return r, fmt.Errorf("the evaluation failed: %s", k.look().trouble)
		}
		return r, nil
	case <-ctx.Done():
		return drift.Report{}, context.Cause(ctx)
	}
}

// Cancel implements status.Backend.
func (b backend) Cancel(ctx context.Context, run, by string) error {
	var refused error
	err := b.d.store.Update(ctx, "cancel", func(t *store.Tx) error {
		r, err := t.Run(run)
		if err != nil {
			return err
		}
		if r.State == "ended" {
			refused = fmt.Errorf("%w: run %s has ended already: %s", status.ErrRefused, r.ID, r.Outcome)
			return nil
		}
		return t.CancelRun(r.ID, by)
	})
	if err == nil && refused != nil {
		return refused
	}
	return whichRun(run, err)
}

// Reload implements status.Backend.
func (b backend) Reload(ctx context.Context) error { return b.d.reload(ctx, "asked for") }
