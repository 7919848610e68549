package evaluator

import (
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/store"
)

// Expected is the expected duration of the next run.
type Expected struct {
	Pipeline string
	Total    time.Duration
	Steps    []ExpectedStep
}

// ExpectedStep is one step of the run. Runs is the number of earlier runs from which the duration was computed; 0 if
// the duration is configured.
type ExpectedStep struct {
	Name string
	Time time.Duration
	Runs int
	// Known is false if neither a run nor the configuration provides a duration: the step then counts as zero.
	Known bool
	GPU   bool
	// Checkpoints marks a step that saves its progress. It can use any quiet hours, so it counts as zero.
	Checkpoints bool
}

// Expect calls ExpectFrom with the durations of the pipeline's newest runs.
func Expect(t *store.Tx, model, pipeline string, steps []actions.StepConfig) (Expected, error) {
	took, err := t.StepTimes(model, pipeline, historyRuns)
	if err != nil {
		return Expected{}, err
	}
	return ExpectFrom(took, pipeline, steps), nil
}

// ExpectFrom adds up the durations of the steps of a pipeline, except those that save checkpoints. The duration of a
// step is the 90th percentile over the runs in which it succeeded, or the configured duration if there are no such
// runs. Steps are matched by name: when the longest step is removed from a pipeline, the expected duration becomes
// shorter at once.
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

// rest returns the expected duration of the steps after the given one, without those that save their progress.
func (e Expected) rest(step int) (d time.Duration) {
	for _, s := range e.Steps[step+1:] {
		if !s.Checkpoints {
			d += s.Time
		}
	}
	return d
}

// percentile90 returns the 90th percentile by nearest rank; 0 if took is empty.
func percentile90(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	took = slices.Sorted(slices.Values(took))
	return took[(len(took)*9+9)/10-1]
}
