package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
	"github.com/retraind/retraind/store"
)

// Recorded is a model's stored history. Needs is the expected duration of a run, Took its usual duration, and GPU the
// usual time on a GPU.
type Recorded struct {
	Record           playback.Record
	Needs, Took, GPU time.Duration
}

// ReadRecord reads the evaluations and decisions since a time, and all retraining runs that have started. A daemon may
// be running. The error wraps os.ErrNotExist if no daemon ever ran with this state directory.
func ReadRecord(ctx context.Context, file *configs.File, model string, since time.Time) (*Recorded, error) {
	m, ok := file.Models[model]
	if !ok {
		return nil, fmt.Errorf("model %q: %w", model, store.ErrNotFound)
	}
	s, err := store.OpenReader(file.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no record in %s: %w", file.State, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := &Recorded{}
	err = s.View(ctx, func(t *store.Tx) error {
		expected, err := evaluator.Expect(t, model, configs.DefaultPipeline, m.Steps(configs.DefaultPipeline))
		if err != nil {
			return err
		}
		if err := out.runs(t, model); err != nil {
			return err
		}
		out.usual(expected)
		verdicts, err := t.Verdicts(model, since)
		if err != nil {
			return err
		}
		for _, v := range verdicts {
			out.Record.Decisions = append(out.Record.Decisions, playback.DecisionFact{
				At: v.At, Verdict: policy.Verdict(v.Verdict), Run: v.Run, Forced: v.Forced, Urgent: v.Urgent,
			})
		}
		reports, err := t.Reports(model, since, math.MaxInt32)
		if err != nil {
			return err
		}
		out.Record.Reports = make([]drift.Report, len(reports))
		for i, r := range reports {
			if err := json.Unmarshal([]byte(r.Body), &out.Record.Reports[i]); err != nil {
				return fmt.Errorf("report %d: %w", r.N, err)
			}
		}
		return nil
	})
	return out, err
}

// runs reads the runs that started, except rollbacks, each with the GPU time of its steps.
func (o *Recorded) runs(t *store.Tx, model string) error {
	runs, err := t.Runs(model, math.MaxInt32)
	if err != nil {
		return err
	}
	slices.Reverse(runs) // oldest first
	for _, r := range runs {
		if r.Started.IsZero() {
			continue
		}
		fact, err := evaluator.FactOf(t, r)
		if err != nil {
			return err
		}
		run := playback.RecordedRun{RunFact: fact}
		var plan actions.Plan
		if err := json.Unmarshal([]byte(r.Plan), &plan); err != nil {
			return fmt.Errorf("run %s: %w", r.ID, err)
		}
		if plan.Rollback != nil { // a rollback is no retraining
			continue
		}
		run.Code = "" // a backtest compares the code of the default pipeline only
		if plan.Pipeline == configs.DefaultPipeline {
			run.Code = plan.Code
		}
		steps, err := t.Steps(r.ID)
		if err != nil {
			return err
		}
		for _, s := range steps {
			if slices.ContainsFunc(plan.Steps, func(p actions.Step) bool { return p.Name == s.Name && p.GPU }) &&
				!s.Ended.IsZero() {
				run.GPU += s.Ended.Sub(s.Started)
			}
		}
		o.Record.Runs = append(o.Record.Runs, run)
	}
	return nil
}

// usual sets Needs, Took and GPU. Took and GPU are medians over the runs that produced a candidate, or expected times
// if there are none.
func (o *Recorded) usual(e evaluator.Expected) {
	var took, gpu []time.Duration
	for _, r := range o.Record.Runs {
		switch r.Outcome {
		case policy.OutcomePromoted, policy.OutcomeRejected, policy.OutcomeRolledBack:
			took, gpu = append(took, r.Ended.Sub(r.Started)), append(gpu, r.GPU)
		}
	}
	o.Needs, o.Took = e.Total, e.Total
	for _, s := range e.Steps {
		if s.GPU {
			o.GPU += s.Time
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		slices.Sort(gpu)
		o.Took, o.GPU = took[(len(took)-1)/2], gpu[(len(gpu)-1)/2]
	}
}
