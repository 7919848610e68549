package status

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// fake is a Backend of function fields; a method without its field returns empty results.
type fake struct {
	snapshot     func(context.Context) (Status, error)
	explain      func(ctx context.Context, model, run string) (policy.Decision, error)
	history      func(ctx context.Context, model string, since time.Time) ([]Point, error)
	runs         func(ctx context.Context, model string, limit int) ([]Run, error)
	diagnose     func(ctx context.Context, model string) (drift.Diagnosis, error)
	run          func(ctx context.Context, id string) (Run, error)
	releases     func(ctx context.Context, model string) ([]Release, error)
	subscribe    func(context.Context) <-chan Event
	trigger      func(ctx context.Context, model string, r Request) (Triggered, error)
	evaluate     func(ctx context.Context, model string) (drift.Report, error)
	cancel       func(ctx context.Context, run, by string) error
	acceptLabels func(ctx context.Context, model, by string) error
	addLabels    func(ctx context.Context, model string, events []byte, by, run string) (Added, error)
	pause        func(ctx context.Context, model string, p Pause) error
	hold         func(ctx context.Context, model string, p Pause) error
	resume       func(ctx context.Context, model, by string) error
	reload       func(context.Context) error
	verify       func(ctx context.Context, model string) (Served, error)
}

var _ Backend = fake{}

func (f fake) Verify(ctx context.Context, model string) (Served, error) {
	if f.verify == nil {
		return Served{State: ServedUnknown}, nil
	}
	return f.verify(ctx, model)
}

func (f fake) Adopt(context.Context, string, string) (Done, error) { return Done{}, nil }

func (f fake) Redeploy(context.Context, string, string) (Done, error) { return Done{}, nil }

func (f fake) Pin(context.Context, string, string, Pin) (Done, error) { return Done{}, nil }

func (f fake) Unpin(context.Context, string, string, string) (Done, error) { return Done{}, nil }

func (f fake) Retry(context.Context, string, string, string) (Triggered, error) {
	return Triggered{}, nil
}

func (f fake) Snapshot(ctx context.Context) (Status, error) {
	if f.snapshot == nil {
		return Status{}, nil
	}
	return f.snapshot(ctx)
}

func (f fake) Explain(ctx context.Context, model, run string, _ time.Time) (policy.Decision, error) {
	if f.explain == nil {
		return policy.Decision{}, fmt.Errorf("decision about %s: %w", model, ErrNotFound)
	}
	return f.explain(ctx, model, run)
}

func (f fake) History(ctx context.Context, model string, since time.Time) ([]Point, error) {
	if f.history == nil {
		return nil, nil
	}
	return f.history(ctx, model, since)
}

func (f fake) Diagnose(ctx context.Context, model string) (drift.Diagnosis, error) {
	if f.diagnose == nil {
		return drift.Diagnosis{}, fmt.Errorf("model %s: %w", model, ErrNotFound)
	}
	return f.diagnose(ctx, model)
}

func (f fake) Runs(ctx context.Context, model string, limit int) ([]Run, error) {
	if f.runs == nil {
		return nil, nil
	}
	return f.runs(ctx, model, limit)
}

func (f fake) Run(ctx context.Context, id string) (Run, error) {
	if f.run == nil {
		return Run{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	return f.run(ctx, id)
}

func (f fake) Releases(ctx context.Context, model string) ([]Release, error) {
	if f.releases == nil {
		return nil, nil
	}
	return f.releases(ctx, model)
}

func (f fake) Subscribe(ctx context.Context) <-chan Event {
	if f.subscribe == nil {
		closed := make(chan Event)
		close(closed)
		return closed
	}
	return f.subscribe(ctx)
}

func (f fake) Trigger(ctx context.Context, model string, r Request) (Triggered, error) {
	return f.trigger(ctx, model, r)
}

func (f fake) Evaluate(ctx context.Context, model string) (drift.Report, error) {
	return f.evaluate(ctx, model)
}

func (f fake) AddLabels(ctx context.Context, model string, events []byte, by, run string) (Added, error) {
	return f.addLabels(ctx, model, events, by, run)
}

func (f fake) AcceptLabels(ctx context.Context, model, by string) error {
	return f.acceptLabels(ctx, model, by)
}

func (f fake) Cancel(ctx context.Context, run, by string) error { return f.cancel(ctx, run, by) }

func (f fake) Pause(ctx context.Context, model string, p Pause) error { return f.pause(ctx, model, p) }

func (f fake) Hold(ctx context.Context, model string, p Pause) error { return f.hold(ctx, model, p) }

func (f fake) Resume(ctx context.Context, model, by string) error {
	return f.resume(ctx, model, by)
}

func (f fake) Reload(ctx context.Context) error { return f.reload(ctx) }

// The scenario of the tests: a model that drifted for a week and waits for the evening.

var now = time.Date(2026, 11, 22, 17, 48, 0, 0, time.FixedZone("CET", 3600))

const (
	champion  = "sha256:7f3a9c41d2e85b60aa11"
	candidate = "sha256:19be40c7735a0f2d8e22"
	earlier   = "sha256:c02d11f6b94e7a318f33"
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const day = 24 * time.Hour

func report() *drift.Report {
	return &drift.Report{
		Model: "relevance", At: ago(4 * time.Minute), Release: champion, Target: "relevant", State: drift.StateOK,
		HeldOut: 1210, Scored: 1204,
		Figures:  drift.Figures{Correct: 1049, Accuracy: 0.8713, Low: 0.8512, High: 0.8890, MacroF1: 0.802, Drop: 4.1},
		Baseline: &drift.Baseline{Accuracy: 0.9123, N: 1180, Correct: 1077, At: ago(9 * day)},
		Labels:   drift.Labels{Items: 14195, Changed: 412, Share: 0.029, New: map[string]int{"robotics": 31}},
		Targets: []drift.TargetFigures{
			{Name: "aks", N: 241, Correct: 195, Accuracy: 0.8091, Low: 0.7549, High: 0.8538, MacroF1: 0.61},
			{Name: "priority"},
		},
	}
}

func decision() policy.Decision {
	return policy.Decision{
		At: ago(4 * time.Minute), Model: "relevance", Verdict: policy.VerdictRetrain, Reason: policy.ReasonWindowClosed,
		Release: champion,
		Text:    "retrain: the accuracy fell by 4.1 points; it waits for quiet hours",
		Conditions: []policy.Condition{
			{
				Name: "accuracy_below", State: policy.StatePass, Value: 0.8713, Bound: 0.85, Distance: 0.0213,
				Unit: policy.UnitShare, Labels: 29, Text: "accuracy 87.1% is not below 85%",
			},
			{
				Name: "accuracy_drop", State: policy.StateFail, Tripped: true, Value: 4.1, Bound: 3, Distance: -1.1,
				Unit: policy.UnitPoints, Text: "59 right answers turned wrong, 10 wrong ones right: p 0.0000007",
			},
			{
				Name: "category_recall_below.robotics", State: policy.StateInconclusive, Value: 0, Bound: 0.7, Distance: -0.7,
				Unit: policy.UnitShare, Labels: -1, Text: "only 12 held-out items, 30 are needed",
			},
			{
				Name: "max_age", State: policy.StatePass, Value: 216, Bound: 2160, Distance: 1944, Unit: policy.UnitHours,
				Labels: -1, Text: "the release is 9 days old",
			},
			{Name: "when", State: policy.StatePass, Labels: -1, Text: "drop > 5 && changed > 1000 is false"},
		},
		Blocked: []policy.Blocker{{
			Reason: policy.ReasonWindowClosed, Until: now.Add(4*time.Hour + 12*time.Minute),
			Text: "quiet hours are closed",
		}},
	}
}

func share(f float64) *float64 { return &f }

// history declines slowly over eight days.
func history() []Point {
	var points []Point
	for h := 192; h >= 0; h -= 4 {
		a := 0.9123 - 0.041*float64(192-h)/192
		points = append(points, Point{
			At: ago(time.Duration(h)*time.Hour + 4*time.Minute), Release: champion, Accuracy: a,
			Low: a - 0.018, High: a + 0.017, N: 1200,
		})
	}
	return points
}

func runs() []Run {
	step := func(name string, state store.StepState, from, took time.Duration) Step {
		s := Step{Name: name, State: state, Attempt: 1}
		if from > 0 {
			s.Started = ago(from)
		}
		if took > 0 {
			s.Ended = s.Started.Add(took)
		}
		return s
	}
	training := step("train", store.StepRunning, 7*time.Minute, 0)
	training.Progress, training.ProgressText = share(0.42), "epoch 5 of 12"
	failed := step("gate", store.StepFailed, 5*day-20*time.Minute, 2*time.Second)
	failed.Detail = "macro-F1 fell by 11 points <b>not bold</b>"
	return []Run{
		{
			ID: "01KB4W8R2M", Model: "relevance", Pipeline: "default", Trigger: "asked for by anna", Forced: true,
			State:   store.RunRunning,
			Created: ago(8 * time.Minute), Started: ago(8 * time.Minute),
			Steps: []Step{
				step("export", store.StepOK, 8*time.Minute, 50*time.Second), training,
				step("gate", store.StepWaiting, 0, 0), step("deploy", store.StepWaiting, 0, 0),
			},
		},
		{
			ID: "01KAQ1X7TZ", Model: "relevance", Pipeline: "default", Trigger: "412 labels changed", State: store.RunEnded,
			Outcome: policy.OutcomeRejected,
			Reason:  "the candidate is worse: 71.0% against 90.2%", Created: ago(5 * day), Started: ago(5 * day),
			Ended: ago(5*day - 21*time.Minute), Release: candidate,
			Steps: []Step{
				step("export", store.StepOK, 5*day, 3*time.Second),
				step("train", store.StepOK, 5*day-3*time.Second, 19*time.Minute), failed,
			},
		},
		{
			ID: "01KAE5P0QD", Model: "relevance", Pipeline: "default", Trigger: "the first release", State: store.RunEnded,
			Outcome: policy.OutcomePromoted,
			Created: ago(9 * day), Started: ago(9 * day), Ended: ago(9*day - 38*time.Minute), Release: champion,
			Steps: []Step{
				step("export", store.StepOK, 9*day, 4*time.Second),
				step("train", store.StepOK, 9*day-5*time.Second, 37*time.Minute),
				step("deploy", store.StepOK, 9*day-38*time.Minute, 4*time.Second),
			},
		},
	}
}

func releases() []Release {
	return []Release{
		{
			Digest: candidate, Run: "01KAQ1X7TZ", State: store.ReleaseRejected, Created: ago(5 * day),
			Accuracy: &Compared{Before: share(0.902), After: 0.71, Low: 0.684, High: 0.735, N: 1190},
		},
		{
			Digest: champion, Run: "01KAE5P0QD", State: store.ReleaseChampion, Created: ago(9 * day),
			Accuracy: &Compared{After: 0.9123, Low: 0.895, High: 0.927, N: 1180},
		},
		{Digest: earlier, State: store.ReleasePrevious, Created: ago(40 * day)},
	}
}

func drifted() Model {
	all := runs()
	return Model{
		Name: "relevance", Phase: Armed, Sentence: "waiting for quiet hours, which open at 22:00 CET (in 4 h 12 min)",
		Release: champion, Deployed: ago(9 * day), Report: report(), Floor: 0.85, Active: &all[0], Last: &all[1],
		NextCheck: now.Add(17 * time.Minute), Window: Window{Changes: now.Add(4*time.Hour + 12*time.Minute)},
		Audit: Audit{At: ago(14 * time.Hour)},
		Sources: []Source{
			{Name: "postgres", Health: watch.Health{Up: true, Since: ago(3 * day), LastEvent: ago(90 * time.Second)}},
			{Name: "files", Health: watch.Health{
				Since: ago(2 * time.Hour),
				Error: "data/labels is not there: make it, or take files: out of the configuration",
			}},
		},
	}
}

func status() Status {
	return Status{
		At: now, Version: "0.1.0", Started: ago(3*day + 4*time.Hour), OutboxPending: 2, Models: []Model{drifted()},
		Config: Config{
			Path: "/etc/retraind/retraind.yaml", Digest: "sha256:aa", Loaded: ago(2 * day),
			Problem: "retraind.yaml:7:3: unknown key <min_lables>", RestartNeeded: []string{"state"},
		},
	}
}

// storied answers every request from the scenario.
func storied() fake {
	return fake{
		snapshot: func(context.Context) (Status, error) { return status(), nil },
		explain:  func(context.Context, string, string) (policy.Decision, error) { return decision(), nil },
		history:  func(context.Context, string, time.Time) ([]Point, error) { return history(), nil },
		runs:     func(context.Context, string, int) ([]Run, error) { return runs(), nil },
		releases: func(context.Context, string) ([]Release, error) { return releases(), nil },
	}
}

func event(n int) Event {
	return Event{
		ID: fmt.Sprintf("01KB%d", n), Kind: "run.step", Model: "relevance", Run: "01KB4W8R2M", At: now.UTC(),
		Data: json.RawMessage(`{"step":"train"}`),
	}
}
