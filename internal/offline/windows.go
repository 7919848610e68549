package offline

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/policy/quiethours"
	"github.com/retraind/retraind/store"
)

// Plan contains a model's next quiet hours, and how long its next run is expected to take.
type Plan struct {
	Model    string
	Location *time.Location
	Rules    string // the quiet hours in words
	Always   bool   // no quiet hours are configured
	Expected evaluator.Expected
	Reserve  time.Duration
	Openings []PlannedOpening
	Closings []quiethours.Closing
}

// PlannedOpening is a period of quiet hours. Fits says whether the next run fits into it.
type PlannedOpening struct {
	quiethours.Opening
	Open bool // whether it is open at the given time
	Fits bool
}

// Windows returns a model's next quiet hours from the given time on, and the expected duration of its next run. It
// reads earlier durations from the store if there is one. A daemon may be running.
func Windows(ctx context.Context, file *configs.File, model string, at time.Time, count int) (Plan, error) {
	rules, err := file.Policy(model)
	if err != nil {
		return Plan{}, err
	}
	m, w := file.Models[model], rules.Windows()
	out := Plan{
		Model: model, Location: w.Location(), Rules: w.Describe(), Always: w.Always(),
		Reserve: m.Policy.Limits.Reserve.D(),
	}
	pipeline := configs.DefaultPipeline
	if out.Expected, err = expectStored(ctx, file.State, model, pipeline, m); err != nil {
		return Plan{}, err
	}
	until := at
	for _, o := range w.Openings(at, count) {
		p := PlannedOpening{Opening: o, Open: !o.Start.After(at)}
		from := o.Start
		if p.Open {
			from = at
		}
		p.Fits = o.Fits(from, out.Expected.Total+out.Reserve)
		out.Openings, until = append(out.Openings, p), o.End
	}
	out.Closings = w.Closings(at, until)
	return out, nil
}

// expectStored returns the expected duration of a run from the store on disk, or from the configuration alone if
// there is no store yet.
func expectStored(ctx context.Context, state, model, pipeline string, m *configs.Model) (out evaluator.Expected,
	err error,
) {
	s, err := store.OpenReader(state)
	if errors.Is(err, os.ErrNotExist) {
		out = evaluator.ExpectFrom(nil, pipeline, m.Steps(pipeline))
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer s.Close()
	err = s.View(ctx, func(t *store.Tx) error {
		out, err = evaluator.Expect(t, model, pipeline, m.Steps(pipeline))
		return err
	})
	return out, err
}
