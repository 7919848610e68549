package evaluator

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/unit"
)

// At least nine of ten durations do not exceed the 90th percentile, and this is true of no shorter duration.
func TestPercentile90(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var took []time.Duration
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 50), 1, 40).Draw(t, "took") {
			took = append(took, time.Duration(n))
		}
		kept := func(limit time.Duration) (n int) {
			for _, d := range took {
				if d <= limit {
					n++
				}
			}
			return n
		}
		p := percentile90(took)
		if 10*kept(p) < 9*len(took) || 10*kept(p-1) >= 9*len(took) {
			t.Fatalf("%v of %v: %d kept it", p, took, kept(p))
		}
	})
	if percentile90(nil) != 0 {
		t.Error("no run takes no time")
	}
}

// A step that may be split over several nights counts neither for the expected duration of a run nor for the rest after
// a step.
func TestStepsThatCheckpointTakeNothing(t *testing.T) {
	t.Parallel()
	hour := unit.Duration(time.Hour)
	step := func(name string, expect unit.Duration, checkpoints bool) actions.StepConfig {
		return actions.StepConfig{StepType: &actions.CommandStep{
			StepCommon: actions.StepCommon{Name: name, Expect: expect}, Checkpoints: checkpoints,
		}}
	}
	e := ExpectFrom(map[string][]time.Duration{"relabel": {9 * time.Hour}}, "full", []actions.StepConfig{
		step("prepare", hour/60, false), step("relabel", 0, true), step("train", hour, false), step("again", hour, true),
		step("merge", hour, false),
	})
	if want := 2*time.Hour + time.Minute; e.Total != want {
		t.Errorf("%v in all, want %v", e.Total, want)
	}
	if e.rest(1) != 2*time.Hour || e.rest(3) != time.Hour || e.rest(4) != 0 {
		t.Errorf("left: %v, %v, %v", e.rest(1), e.rest(3), e.rest(4))
	}
}
