package evaluator

import (
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/store"
)

// Expected is how long the next run should take.
type Expected struct {
	Pipeline string
	Total    time.Duration
	Steps    []ExpectedStep
}

// ExpectedStep is one step of it. Runs is how many earlier ones the figure comes from; 0 where it is the configured one.
type ExpectedStep struct {
	Name string
	Time time.Duration
	Runs int
	// Known is false where neither a run nor the configuration says anything: the step then counts as nothing.
	Known bool
	GPU   bool
	// Checkpoints: it takes what there is of the quiet hours, and counts as nothing.
	Checkpoints bool
}

// Expect is ExpectFrom with what the newest runs of the pipeline took.
func Expect(t *store.Tx, model, pipeline string, steps []actions.StepConfig) (Expected, error) {
	took, err := t.StepTimes(model, pipeline, historyRuns)
	if err != nil {
		return Expected{}, err
	}
	return ExpectFrom(took, pipeline, steps), nil
}

// ExpectFrom adds up the steps of a pipeline: for each the 90th percentile of the runs in which it succeeded, before
// there are any what is configured. Steps are matched by name, so that a pipeline that lost its longest step is at once
// expected to be shorter, and what another pipeline took says nothing.
func ExpectFrom(took map[string][]time.Duration, pipeline string, steps []actions.StepConfig) Expected {
	out := Expected{Pipeline: pipeline}
	for _, s := range steps {
		expect := s.Common().Expect
		e := ExpectedStep{Name: s.Title(), Time: expect.D(), Known: expect > 0, GPU: s.NeedsGPU(), Checkpoints: s.Checkpoints()}
		if list := took[e.Name]; len(list) > 0 {
			e.Time, e.Runs, e.Known = percentile90(list), len(list), true
		}
		out.Steps = append(out.Steps, e)
		if !e.Checkpoints {
			out.Total += e.Time
		}
	}
	return out
}

// rest is what the steps after one are expected to take, less those that checkpoint.
func (e Expected) rest(step int) (d time.Duration) {
	for _, s := range e.Steps[step+1:] {
		if !s.Checkpoints {
			d += s.Time
		}
	}
	return d
}

// percentile90 is the shortest time that nine of ten kept, by nearest rank; 0 when there were none.
func percentile90(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	took = slices.Sorted(slices.Values(took))
	return took[(len(took)*9+9)/10-1]
}
