package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// answered returns the stored answer to a request that was carried out already.
func (b *Backend) answered(ctx context.Context, verb, model, id string) (t status.Triggered, ok bool, err error) {
	if id == "" {
		return t, false, nil
	}
	err = b.o.Store.View(ctx, func(tx *store.Tx) error {
		r, err := tx.RequestOf(id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case r.Verb != verb || r.Model != model:
			return &status.Refusal{
				Code: 409,
				Text: fmt.Sprintf("the request id %q was already used for a %s of model %s", id, r.Verb, r.Model),
			}
		}
		ok = true
		return json.Unmarshal(r.Answer, &t)
	})
	return t, ok, err
}

// Trigger implements status.Backend.
func (b *Backend) Trigger(ctx context.Context, model string, r status.Request) (status.Triggered, error) {
	m, err := b.model(model)
	if err != nil {
		return status.Triggered{}, err
	}
	if err := r.Fresh(time.Now()); err != nil {
		return status.Triggered{}, err
	}
	if t, ok, err := b.answered(ctx, "trigger", model, r.ID); ok || err != nil {
		return t, err
	}
	file := b.o.Loaded().File
	if r.Pipeline == "" {
		r.Pipeline = configs.DefaultPipeline
	}
	if _, ok := file.Models[model].Pipeline[r.Pipeline]; !ok {
		return status.Triggered{},
			fmt.Errorf("%w: model %s has no pipeline %q; it has %s", status.ErrNotFound, model, r.Pipeline,
				strings.Join(slices.Sorted(maps.Keys(file.Models[model].Pipeline)), ", "))
	}
	var open string
	var row store.Model
	if err := b.o.Store.View(ctx, func(t *store.Tx) error {
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
		return status.Triggered{},
			&status.Refusal{Code: 409, Text: fmt.Sprintf("run %s of model %s has not ended; wait for it or cancel it", open,
				model)}
	}
	if err := refusal(evaluator.CheckHold(model, row)); err != nil {
		return status.Triggered{}, err
	}
	if why := unreadable(m, file.Models[model].Pipeline[r.Pipeline]); why != "" {
		return status.Triggered{}, &status.Refusal{Code: 409, Text: "labels cannot be exported: " + why}
	}
	demand := evaluator.Demand{By: r.By, Reason: r.Reason, Pipeline: r.Pipeline, At: time.Now().UTC()}
	if err := refusal(m.Loop.Demand(ctx, demand, r.ID)); err != nil {
		return status.Triggered{}, err
	}
	t, err := b.awaitRun(ctx, model)
	if err != nil || r.ID == "" {
		return t, err
	}
	answer, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	return t, b.o.Store.Update(ctx, "request", func(tx *store.Tx) error {
		return tx.AddRequest(store.Request{ID: r.ID, Verb: "trigger", Model: model, Answer: answer}, time.Now())
	})
}

// unreadable returns why the table cannot be read, or "" if it can or if no step of the pipeline exports labels.
func unreadable(m Model, steps []actions.StepConfig) string {
	if !slices.ContainsFunc(steps, func(s actions.StepConfig) bool { return s.Builtin() == actions.DoExport }) {
		return ""
	}
	for _, s := range m.Intake.Sources {
		if h := s.Health(); s.Name() == watch.SourcePostgres && !h.Up && h.Error != "" {
			return h.Error
		}
	}
	return ""
}

// awaitRun waits up to 5 seconds until the loop has created the run, which takes one evaluation. The transaction that
// creates the run removes the stored request; until then an open run is of another request, or a rollback.
func (b *Backend) awaitRun(ctx context.Context, model string) (status.Triggered, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting := true
		var newest []store.Run
		err := b.o.Store.View(ctx, func(t *store.Tx) error {
			row, err := t.Model(model)
			if waiting = row.Force != ""; err != nil || waiting {
				return err
			}
			newest, err = t.Runs(model, 1)
			return err
		})
		if err == nil && !waiting && len(newest) == 1 {
			run := newest[0]
			if run.State == store.RunEnded {
				return status.Triggered{Run: run.ID, Text: "run " + run.ID + " has ended: " + run.Outcome}, nil
			}
			return status.Triggered{Run: run.ID, Text: "run " + run.ID + " starts now"}, nil
		}
		select {
		case <-ctx.Done():
			return status.Triggered{Text: evaluator.Accepted}, nil
		case <-tick.C:
		}
	}
}

// refusal turns a HeldError into a refusal of the request.
func refusal(err error) error {
	var held *evaluator.HeldError
	if errors.As(err, &held) {
		return &status.Refusal{Code: http.StatusLocked, Text: held.Error()}
	}
	return err
}
